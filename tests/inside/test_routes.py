"""How answers become views: DNS messages and their TTLs, ZooKeeper's children, settings; without sockets."""

from __future__ import annotations

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from lab.inside.pick import Instance
from lab.inside.routes import known, maker_of
from lab.inside.routes.dns import Failed, read
from lab.inside.routes.zookeeper import collapsed

OWNER = "_shop._tcp.lab.test"


def answer(srv: list[str], a: dict[str, str], *, ttl: int = 5, a_ttl: int = 5) -> dns.message.Message:
    """A response with these SRV records, and A records in the additional section."""
    message = dns.message.make_response(dns.message.make_query(OWNER, "SRV"))
    if srv:
        message.answer.append(dns.rrset.from_text(f"{OWNER}.", ttl, "IN", "SRV", *srv))
    for name, address in a.items():
        message.additional.append(dns.rrset.from_text(name, a_ttl, "IN", "A", address))
    return message


def nobody(name: str, kind: dns.rdatatype.RdataType) -> dns.message.Message:
    """Stands in for the second question where there must be none."""
    raise AssertionError(f"asked for {name} {kind}")


def test_srv_records_and_their_addresses_become_instances() -> None:
    """Node from the target's first label, port, priority and weight from the record."""
    message = answer(
        ["0 5 8080 backend2.lab.test.", "1 0 8081 backend1.lab.test."],
        {"backend1.lab.test.": "10.0.0.1", "BACKEND2.lab.test.": "10.0.0.2"},
    )
    assert read(message, OWNER, nobody) == (
        [Instance("backend1", "10.0.0.1", 8081, 1, 0), Instance("backend2", "10.0.0.2", 8080, 0, 5)],
        5,
    )


@pytest.mark.parametrize(("ttl", "a_ttl", "held_s"), [(5, 5, 5), (5, 2, 2), (0, 5, 0), (3, 9, 3)])
def test_a_view_is_held_for_the_smallest_ttl_that_remains(ttl: int, a_ttl: int, held_s: int) -> None:
    """Of the SRV records and the addresses that it was made from."""
    message = answer(["0 1 8080 backend1.lab.test."], {"backend1.lab.test.": "10.0.0.1"}, ttl=ttl, a_ttl=a_ttl)
    assert read(message, OWNER, nobody).ttl_s == held_s


def test_an_address_that_is_not_in_the_answer_is_asked_for() -> None:
    """And a target without any address is nobody."""
    asked: list[str] = []

    def ask(name: str, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        asked.append(name)
        message = dns.message.make_response(dns.message.make_query(name, kind))
        if name.startswith("backend1"):
            message.answer.append(dns.rrset.from_text(name, 3, "IN", "A", "10.0.0.1"))
        return message

    found = read(answer(["0 1 8080 backend1.lab.test.", "0 1 8080 backend2.lab.test."], {}), OWNER, ask)
    assert (found.instances, found.ttl_s) == ([Instance("backend1", "10.0.0.1", 8080, 0, 1)], 3)
    assert sorted(asked) == ["backend1.lab.test.", "backend2.lab.test."]


def test_a_target_that_is_the_root_means_not_available() -> None:
    """RFC 2782."""
    assert read(answer(["0 0 0 ."], {}), OWNER, nobody).instances == []


@pytest.mark.parametrize("rcode", [dns.rcode.NOERROR, dns.rcode.NXDOMAIN])
def test_nobody_is_an_answer_too(rcode: dns.rcode.Rcode) -> None:
    """Held for the negative TTL: the smaller of the SOA's TTL and its minimum."""
    message = answer([], {})
    message.set_rcode(rcode)
    assert read(message, OWNER, nobody) == ([], 1)
    soa = "ns1.lab.test. root.lab.test. 1 10 2 9 4"
    message.authority.append(dns.rrset.from_text("lab.test.", 7, "IN", "SOA", soa))
    assert read(message, OWNER, nobody) == ([], 4)


def test_any_other_code_is_a_failure_that_names_it() -> None:
    """SERVFAIL says nothing about who is there."""
    message = answer([], {})
    message.set_rcode(dns.rcode.SERVFAIL)
    with pytest.raises(Failed, match="servfail"):
        read(message, OWNER, nobody)


def test_children_of_one_node_are_one_instance() -> None:
    """The highest incarnation's, as a number: 10 after 9."""
    children = {
        "backend1-9": Instance("backend1", "10.0.0.1", 8080),
        "backend1-10": Instance("backend1", "10.0.0.9", 8080),
        "backend2-1": Instance("backend2", "10.0.0.2", 8080),
    }
    assert collapsed(children) == [Instance("backend1", "10.0.0.9", 8080), Instance("backend2", "10.0.0.2", 8080)]


def test_settings_and_kinds_that_nobody_knows_are_refused() -> None:
    """With the ones that are known."""
    with pytest.raises(ValueError, match="ttl_s; known: owner"):
        known({"ttl_s": 3}, {"owner": "x"})
    with pytest.raises(ValueError, match="dns, scripted, zookeeper"):
        maker_of("consul")
