"""Where new connections of a route go to: what a path believes after each answer, and for how long; without sockets."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import gevent
import orjson
import pytest

from lab import clock
from lab.clock import S
from lab.inside.paths import Path, Target, Unknown, maker_of, zookeeper
from lab.inside.paths import dns as by_dns
from lab.inside.routes.dns import Failed

OWNER = "primary.lab.test"
SERVERS = {"postgres1": "10.0.0.1", "postgres2": "10.0.0.2"}


def answer(address: str = "", ttl: int = 5, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> dns.message.Message:
    """A response with this address, or with none."""
    message = dns.message.make_response(dns.message.make_query(OWNER, "A"))
    message.set_rcode(rcode)
    if address:
        message.answer.append(dns.rrset.from_text(f"{OWNER}.", ttl, "IN", "A", address))
    else:
        soa = f"ns1.{OWNER}. a.{OWNER}. 1 2 3 4 3"
        message.authority.append(dns.rrset.from_text("lab.test.", 60, "IN", "SOA", soa))
    return message


def make(kind: str, **settings: Any) -> tuple[Path, list[str | None]]:
    """A path of that kind, and what it learns."""
    learned: list[str | None] = []
    return maker_of(kind)(SERVERS, Random(1), learned.append, settings), learned


def test_an_address_is_believed_for_the_ttl_that_remains() -> None:
    """No such name and no such record are answers too, for as long as the zone says; any other code is a failure."""
    assert by_dns.read(answer("10.0.0.2", 3), OWNER) == ("10.0.0.2", 3)
    assert by_dns.read(answer(), OWNER) == by_dns.read(answer(rcode=dns.rcode.NXDOMAIN), OWNER) == (None, 3)
    with pytest.raises(Failed, match="servfail"):
        by_dns.read(answer(rcode=dns.rcode.SERVFAIL), OWNER)


def test_dns_is_asked_again_when_the_answer_expires_and_tells_what_it_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence, then one primary, then another: each is where connections go from then on, until the next answer."""
    asked: list[tuple[int, float]] = []
    answers: list[dns.message.Message | None] = [
        None,
        answer("10.0.0.1", 1),
        answer("10.0.0.1", 0),
        answer("10.0.0.2", 9),
    ]

    class Scripted:
        def __init__(self, *_: object) -> None:
            pass

        def ask(self, owner: str, kind: object, timeout_s: float) -> dns.message.Message:
            asked.append((clock.now_ns(), timeout_s))
            told = answers.pop(0)
            if told is None:
                gevent.sleep(timeout_s)
                raise Failed("timeout")
            return told

        def close(self) -> None:
            pass

    monkeypatch.setattr(by_dns, "Resolver", Scripted)
    path, learned = make("dns", resolver="127.0.0.1", timeout_s=0.1)
    with pytest.raises(Unknown, match="not asked yet"):
        path.target()
    running = gevent.spawn(path.run)
    with gevent.Timeout(10):
        while answers:
            gevent.sleep(0.01)
            if learned == ["postgres1"]:
                assert path.target().hosts == (("postgres1", "10.0.0.1"),)
    gevent.sleep(0)
    assert learned == ["postgres1", "postgres2"] and path.target().hosts == (("postgres2", "10.0.0.2"),)
    running.kill()
    path.close()
    gaps_s = [(after[0] - before[0]) / S for before, after in pairwise(asked)]
    assert gaps_s[0] >= 0.1 and gaps_s[1] >= 1.0 and 0.05 <= gaps_s[2] < 1.0
    assert [timeout_s for _, timeout_s in asked[:3]] == [0.1, 0.2, 0.1]


def test_a_znode_names_the_primary() -> None:
    """What is not there, or cannot be read, is nobody, and says why."""
    told = {"node": "postgres2", "address": "10.0.0.2", "port": 5432, "timeline": 2}
    assert zookeeper.read(orjson.dumps(told)) == (Target((("postgres2", "10.0.0.2"),), 5432), "")
    assert zookeeper.read(None) == zookeeper.read(b"") == (None, "zookeeper: nobody is the primary")
    for data, says in ((b"{", "JSONDecodeError"), (b"{}", "KeyError('node')"), (b"[]", "TypeError")):
        found, why = zookeeper.read(data)
        assert found is None and says in why


def test_the_ensemble_is_the_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the settings name its servers."""
    monkeypatch.setenv("LAB_ZOOKEEPERS", "3")
    assert zookeeper.ensemble() == "zookeeper1:2181,zookeeper2:2181,zookeeper3:2181"


def test_a_list_of_hosts_is_walked_in_order_and_a_proxy_is_always_the_same() -> None:
    """Standbys are passed over in a list; what a proxy lets through to is the proxy's business."""
    path, _ = make("multi_host")
    assert path.target().hosts == (("postgres1", "10.0.0.1"), ("postgres2", "10.0.0.2")) and path.target().read_write
    path, _ = make("haproxy", proxy="127.0.0.1")
    assert (path.target().hosts, path.target().port) == ((("127.0.0.1", "127.0.0.1"),), 5000)
    with pytest.raises(ValueError, match="unknown route setting strange"):
        make("multi_host", strange=1)
