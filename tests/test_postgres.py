"""The database as a system under test: what it refuses, what it tells, when it is ready; all without an engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import BadInput, NodeLost
from lab.systems import Controller, Patroni, Postgres

UPSTREAM = "postgres1"


class FakeNode:
    """A server whose supervisor says `told`, or nothing; and the link's agent."""

    role = "postgres"

    def __init__(self, name: str, told: dict[str, Any] | None, proxies: list[dict[str, Any]] | None = None) -> None:
        self.name, self.told, self.proxies = name, told, proxies
        self.address = "10.0.0.1"

    def tell(self, op: str, **_: Any) -> dict[str, Any]:
        if op == "toxics" and self.proxies is not None:
            return {"proxies": self.proxies}
        if self.told is None:
            raise NodeLost(f"{self.name}: gone")
        return {"reached": True, "answer": {"ok": True, **self.told}}


def primary(*streaming: str, sync: tuple[str, ...] = (), timeline: int = 1, state: str = "primary") -> dict[str, Any]:
    return {"state": state, "timeline": timeline, "upstream": None, "streaming": list(streaming), "sync": list(sync)}


def standby(upstream: str | None = UPSTREAM, receiving: bool = True) -> dict[str, Any]:
    return {"state": "standby", "timeline": 1, "upstream": upstream, "receiving": receiving, "streaming": []}


def stack(*told: dict[str, Any] | None, proxies: list[dict[str, Any]] | None = None) -> Any:
    nodes = {f"postgres{n}": FakeNode(f"postgres{n}", said) for n, said in enumerate(told, 1)}
    if proxies is not None:
        nodes["toxiproxy"] = FakeNode("toxiproxy", {}, proxies)
    return SimpleNamespace(nodes=nodes)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"standbys": 0}, "standbys=0 must be a whole number, 1 to 3"),
        ({"standbys": 4}, "standbys=4 must be a whole number, 1 to 3"),
        ({"replication": "sync", "sync_standbys": 3}, "sync_standbys=3 of standbys=2: no write would ever be ack"),
        ({"replication": "semi"}, "replication='semi' must be one of async, sync"),
        ({"sync_method": "all"}, "sync_method='all' must be one of any, first"),
        ({"commit": "off"}, "commit='off' must be one of on, remote_write, remote_apply"),
        ({"lag_ms": -1}, "lag_ms=-1 must be at least 0"),
        ({"lag_ms": True}, "lag_ms=True is not a number"),
        ({"max_connections": 5}, "max_connections=5 must be a whole number, 20 to 1000"),
    ],
)
def test_what_cannot_be(settings: dict[str, Any], sentence: str) -> None:
    """One clear sentence each."""
    with pytest.raises(BadInput, match="Postgres: ") as refused:
        Postgres(**settings)
    assert sentence in str(refused.value)


def test_asynchronous_replication_waits_for_nobody() -> None:
    """So whoever says for whom it waits has forgotten a word."""
    with pytest.raises(BadInput, match=r"sync_standbys=2 means nothing with replication='async'; write repl"):
        Postgres(standbys=3, sync_standbys=2)
    assert Postgres(standbys=1).settings == {
        "standbys": 1,
        "replication": "async",
        "max_connections": 100,
    }


def test_the_link_comes_with_a_lag_be_it_none() -> None:
    """Without lag_ms there is no proxy hop at all; 0 is the hop alone."""
    straight, linked = Postgres(), Postgres(lag_ms=0)
    assert straight.compose_files == ("postgres.yaml",) and straight.environment["LAB_LAG_MS"] == ""
    assert linked.compose_files == ("postgres.yaml", "link.yaml") and linked.environment["LAB_LAG_MS"] == "0"
    assert ("toxiproxy", "link") in linked.nodes and ("toxiproxy", "link") not in straight.nodes
    assert [node for node, role in straight.nodes if role == "postgres"] == ["postgres1", "postgres2", "postgres3"]


def test_patroni_would_pass_the_link_by() -> None:
    """Its standbys connect to the leader straight, so a lag would be promised that is not there."""
    Postgres(lag_ms=100).check_beside([Controller()], [])
    with pytest.raises(BadInput, match="lag_ms=100 has no effect beside Patroni"):
        Postgres(lag_ms=100).check_beside([Patroni()], [])


def test_ready_when_all_stream_from_the_first() -> None:
    """Nothing lacks then."""
    assert Postgres().lacking(stack(primary("postgres2", "postgres3"), standby(), standby())) == []


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ((None, standby(), standby()), "postgres1: its supervisor does not answer"),
        ((primary(state="down"), standby(), standby()), "postgres1: it is down, not yet the primary"),
        ((primary("postgres2", "postgres3"), standby(None, False), standby()), "postgres2: it does not stream from"),
        ((primary("postgres2", "postgres3"), standby("postgres3"), standby()), "postgres2: it does not stream from"),
        ((primary("postgres2"), standby(), standby()), "postgres1: it does not stream to postgres3 yet"),
    ],
)
def test_what_lacks_is_told(told: Any, sentence: str) -> None:
    """Each server that is not as a trial begins has its sentence."""
    assert any(text.startswith(sentence) for text in Postgres().lacking(stack(*told)))


def test_synchronous_standbys_must_be_attached() -> None:
    """FIRST and ANY alike: as many as a commit waits for."""
    database = Postgres(replication="sync", sync_standbys=2)
    there = ("postgres2", "postgres3")
    assert database.lacking(stack(primary(*there, sync=("postgres2",)), standby(), standby())) == [
        "postgres1: 1 of 2 synchronous standbys are attached"
    ]
    assert database.lacking(stack(primary(*there, sync=there), standby(), standby())) == []


def test_the_links_lag_is_read_back() -> None:
    """What the proxy says counts, not what it was told."""
    database = Postgres(standbys=1, lag_ms=100)
    servers = (primary("postgres2"), standby())
    right = [{"name": "replication", "latency_ms": 100}]
    assert database.lacking(stack(*servers, proxies=right)) == []
    for wrong in ([], [{"name": "replication", "latency_ms": 0}], [{"name": "other", "latency_ms": 100}]):
        assert any(text.startswith("toxiproxy: ") for text in database.lacking(stack(*servers, proxies=wrong)))


def test_of_two_primaries_the_higher_timeline_leads() -> None:
    """A fenced one still leads where there is no other."""
    database = Postgres()
    assert database.leader(stack(primary(), primary(timeline=2), standby())) == "postgres2"
    assert database.leader(stack(primary(state="read_only"), standby(), None)) == "postgres1"
    assert database.leader(stack(None, standby(), standby())) is None
