"""Faults that cut a node off, slow a link down or take a site away: not so before, so after, and not so once healed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from lab.cluster import DockerCluster
from lab.cluster.stack import PodStack
from lab.errors import BadInput
from lab.faults import Partition, Reject, ReplicationLag, SiteLoss
from lab.protocols import Evidence, Fault, Injection
from lab.strike import StruckSite, site_of
from lab.wait import wait_until

pytestmark = pytest.mark.docker

LINK: dict[str, Any] = {"name": "replication", "listen": "0.0.0.0:5433"}


@pytest.fixture(scope="module")
def stack(cluster: DockerCluster) -> PodStack:
    """server1, server2 (HTTP on port 8080) and a link that leads to server1."""
    up = cluster.up("cutting", [str(Path(__file__).parent / "pair.yaml"), "link.yaml"], {})
    link, upstream = up.pods["toxiproxy"], f"{up.pods['server1'].address}:8080"
    wait_until(lambda: link.tell("ask", probe="tcp", host="127.0.0.1", port=8474)["open"], timeout_s=10)
    link.tell("toxic", upstream=upstream, **LINK)
    return up


@pytest.fixture
def site(stack: PodStack) -> Iterator[StruckSite]:
    """server1 is struck; it is reached before, and left as it was found."""
    target, witness = stack.pods["server1"], stack.pods["server2"]

    def reached() -> bool:
        return bool(witness.tell("ask", probe="tcp", host=target.address, port=8080)["open"])

    wait_until(reached, timeout_s=10)
    yield site_of(stack, "server1", frozenset({"server1"}))
    target.tell("uncut")
    target.tell("undrop")
    wait_until(reached, timeout_s=10)


def lifecycle(fault: Fault, site: StruckSite) -> tuple[Evidence, Evidence, Evidence]:
    """Verify, inject, verify, heal twice from JSON alone, verify; the evidence before, after and healed."""
    before = fault.verify(site, None)
    assert not before["holds"], before
    injected = fault.inject(site)
    assert injected.after_ns <= injected.before_ns
    injection = Injection(**orjson.loads(orjson.dumps(injected)))
    after = fault.verify(site, injection)
    for _ in range(2):
        fault.heal(site, injection)
    healed = fault.verify(site, injection)
    assert not healed["holds"], healed
    return before, after, healed


@pytest.mark.parametrize("away_from", [("server2",), ("backend", "link"), ()])
@pytest.mark.parametrize("direction", ["both", "in", "out"])
def test_partition_shows_each_direction(site: StruckSite, direction: str, away_from: tuple[str, ...]) -> None:
    """Packets stopped where it cuts and passed where it does not, and nobody is reached either way."""
    before, after, healed = lifecycle(Partition(away_from, direction), site)
    assert after["holds"], after
    shown = {key: count for key, count in after.items() if key.startswith(("in_", "out_"))}
    expected = {f"{way}_{'stopped' if direction in ('both', way) else 'passed'}" for way in ("in", "out")}
    assert set(shown) == expected and all(shown.values())
    assert {probe["why"] for probe in before["probes"] + healed["probes"]} == {"refused"}
    assert {probe["why"] for probe in after["probes"]} == {"timeout"}
    assert {probe["from"] for probe in after["probes"]} == {"server1", *after["away_from"]}


def test_a_partition_of_others_leaves_the_rest_reachable(stack: PodStack, site: StruckSite) -> None:
    """Cut off from the link only: server2 still reaches it; and a second cut of its own heals by itself."""
    first, second = Partition(("link",)), Partition(("server2",), "in")
    done = first.inject(site)
    assert not second.verify(site, None)["holds"]
    again = second.inject(site)
    assert first.verify(site, done)["holds"] and second.verify(site, again)["holds"]
    second.heal(site, again)
    assert first.verify(site, done)["holds"] and not second.verify(site, again)["holds"]
    seen = stack.pods["server2"].tell("ask", probe="tcp", host=site.target.address, port=8080)
    assert seen["open"]
    first.heal(site, done)


def test_partition_from_nobody_is_bad_input(site: StruckSite) -> None:
    """The message names what there is; a direction is checked where it is written."""
    with pytest.raises(BadInput, match=r"no node and no role 'postgres' here; there are: .*server1"):
        Partition(("postgres",)).inject(site)
    with pytest.raises(BadInput, match=r"direction='sideways' must be one of both, in, out"):
        Partition(direction="sideways")


def test_reject_is_a_refusal(site: StruckSite) -> None:
    """Open before, refused after, on these ports alone; packets of both directions are counted."""
    before, after, healed = lifecycle(Reject(ports=(8080,)), site)
    assert after["holds"], after
    assert all(probe["open"] for probe in before["probes"] if probe["to"] == "server1")
    assert {probe["why"] for probe in after["probes"]} == {"refused"}
    assert all(probe["open"] for probe in healed["probes"] if probe["to"] == "server1")


def test_site_loss_takes_link_and_server_and_brings_both_back(stack: PodStack, site: StruckSite) -> None:
    """Both are gone and silent; afterwards the link has its proxies again, which died with it."""
    link = stack.pods["toxiproxy"]
    proxies = link.tell("toxics")["proxies"]
    _, after, healed = lifecycle(SiteLoss(), site)
    assert after["holds"] and after["also"] == ["toxiproxy"], after
    assert not healed["links_gone"] and not healed["dropping"] and not healed["server_gone"]
    assert link.tell("toxics")["proxies"] == proxies


def test_replication_lag_is_set_and_taken_back(stack: PodStack) -> None:
    """Every proxy of the link has the lag, and afterwards the one of before."""
    link = stack.pods["toxiproxy"]
    link.tell("toxic", upstream=f"{stack.pods['server1'].address}:8080", latency_ms=20, **LINK)
    site = site_of(stack, "toxiproxy", frozenset({"toxiproxy"}))
    _, after, healed = lifecycle(ReplicationLag(100), site)
    assert after["holds"], after
    assert [proxy["latency_ms"] for proxy in after["proxies"]] == [100]
    assert [proxy["latency_ms"] for proxy in healed["proxies"]] == [20]
