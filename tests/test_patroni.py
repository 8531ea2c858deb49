"""What Patroni and HAProxy promise and refuse as systems; all from settings, without an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab import Arm
from lab.errors import BadInput
from lab.protocols import Bounds, Phase, System
from lab.systems import HaProxy, Patroni, Postgres, ZooKeeper

SHORT = ZooKeeper(servers=1, tick_s=0.2)
LONG = ZooKeeper(servers=1, tick_s=1.0)


def beside(patroni: Patroni, zookeeper: ZooKeeper = LONG, *others: System) -> Patroni:
    """A Patroni that has been put into an arm."""
    systems = (Postgres(), patroni, zookeeper, *others)
    for system in (patroni, *(other for other in others if hasattr(other, "check_beside"))):
        system.check_beside(systems, ())
    return patroni


def phases(bounds: Bounds | None) -> dict[str, Phase]:
    assert bounds is not None
    return {phase.name: phase for phase in bounds.phases}


def span(phase: Phase) -> tuple[float, float]:
    return round(phase.low_s, 6), round(phase.high_s, 6)


def test_a_crash_is_the_session_less_a_heartbeat_plus_ticks() -> None:
    """[ttl - loop_wait, ttl + a tick and a half], then a candidate that nobody keeps waiting."""
    found = phases(beside(Patroni(ttl_s=20, loop_wait_s=1)).bounds("crash"))
    assert list(found) == ["detection", "promotion", "writable"]
    assert span(found["detection"]) == (19.0, 21.5)
    assert found["detection"].expected_s == pytest.approx(20.25)
    assert found["detection"].moved_by == "ttl_s (20)"
    assert span(found["promotion"]) == (0.0, 0.8)


def test_only_a_quorum_waits_for_another_standby() -> None:
    """One Patroni may be written into all arms: each arm promises what it can keep itself."""
    patroni = Patroni(session_s=4)
    asynchronous = Arm("async", Postgres(), patroni, SHORT)
    first = Arm("first", Postgres(replication="sync", sync_method="first"), patroni, SHORT)
    quorum = Arm("any", Postgres(replication="sync", sync_method="any"), patroni, SHORT)
    assert span(phases(asynchronous.bounds("crash"))["writable"]) == (0.0, 0.05)
    assert span(phases(first.bounds("crash"))["writable"]) == (0.0, 0.05)
    assert span(phases(quorum.bounds("crash"))["writable"]) == (0.0, 1.5)
    assert span(phases(first.bounds("crash_manager"))["writable"]) == (0.0, 0.05)
    assert span(phases(quorum.bounds("crash_manager"))["writable"]) == (0.0, 11.0)


def test_a_capped_session_counts_instead_of_ttl() -> None:
    """The measured 3.4 to 4.2 s of session_s=4 at a tick of 0.2 s lie inside."""
    found = phases(beside(Patroni(session_s=4), SHORT).bounds("crash"))
    assert span(found["detection"]) == (3.0, 4.3)
    assert found["detection"].moved_by == "session_s (4)"


@pytest.mark.parametrize("change", ["power_loss", "pause"])
def test_who_is_silent_keeps_candidates_waiting(change: str) -> None:
    """They ask the old leader's REST API first, and wait 2 s for it."""
    assert span(phases(Patroni(session_s=4).bounds(change))["promotion"]) == (2.0, 2.8)


def test_who_is_cut_off_may_serve_for_a_while() -> None:
    """From ZooKeeper only: until it gives up, loop_wait and retry_timeout later; from everybody: not at all."""
    found = phases(beside(Patroni()).bounds("partition"))
    assert span(found["detection"]) == (15.0, 21.5)
    assert span(found["promotion"]) == (0.0, 2.8)


def test_long_rounds_are_bridged_by_pings() -> None:
    """With loop_wait 10 kazoo pings every 4 s: 26.6 to 28.6 s were measured for ttl 30."""
    found = phases(beside(Patroni(ttl_s=30, loop_wait_s=10, retry_timeout_s=10), ZooKeeper(tick_s=1.5)).bounds("crash"))
    assert span(found["detection"]) == (26.0, 32.25)


def test_candidates_may_need_another_round_while_the_old_leader_writes_on() -> None:
    """Only its Patroni died: each candidate may find the other one ahead; and clients may not fail at all before."""
    found = phases(beside(Patroni()).bounds("crash_manager"))
    assert span(found["detection"]) == (0.0, 21.5)
    assert found["detection"].expected_s == pytest.approx(19.5)
    assert span(found["promotion"]) == (0.0, 1.8)


def test_a_postgres_alone_is_started_where_it_is() -> None:
    """That is no failover: one phase, of a loop or two."""
    found = phases(Patroni().bounds("crash_postmaster"))
    assert list(found) == ["restart in place"]
    assert span(found["restart in place"]) == (0.1, 3.5)


def test_a_switchover_takes_less_than_two_seconds() -> None:
    """From the first refused write to a writable leader."""
    bounds = Patroni().bounds("switchover")
    assert bounds is not None and bounds.high_s < 2


def test_nothing_is_promised_for_what_it_does_not_heal() -> None:
    """A lag breaks nothing; with a link Patroni does not work at all."""
    assert Patroni().bounds("replication_lag") is None
    assert Patroni().bounds("site_loss") is None
    assert HaProxy().bounds("crash") is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Patroni(ttl_s=10), ["ttl_s=10", "would be raised to 20", "session_s=10"]),
        (lambda: Patroni(ttl_s=20.5), ["ttl_s=20.5", "whole number"]),  # type: ignore[arg-type]
        (lambda: Patroni(loop_wait_s=0), ["loop_wait_s=0", "at least 1"]),
        (lambda: Patroni(retry_timeout_s=2), ["retry_timeout_s=2", "would be raised to 3"]),
        (
            lambda: Patroni(loop_wait_s=10, retry_timeout_s=10),
            ["loop_wait_s + 2 x retry_timeout_s = 30", "ttl_s=20", "write ttl_s=30"],
        ),
        (lambda: Patroni(session_s=20), ["session_s=20 caps nothing"]),
        (lambda: beside(Patroni(), SHORT), ["ttl_s=20 would silently be 4", "ZooKeeper(tick_s=1)", "session_s=4"]),
        (lambda: beside(Patroni(session_s=5), SHORT), ["session_s=5 is outside 2..20 ticks", "grants 0.4 to 4 s"]),
        (lambda: beside(Patroni(session_s=1), LONG), ["session_s=1 is outside", "grants 2 to 20 s"]),
        (lambda: Arm("a", Postgres(), Patroni()), ["Arm a", "there is none: add ZooKeeper(...)"]),
        (lambda: Arm("a", Patroni(), LONG), ["add Postgres(...)"]),
        (lambda: Arm("a", Postgres(lag_ms=5), Patroni(), LONG), ["lag_ms=5 has no effect beside Patroni"]),
        (lambda: Arm("a", Postgres(), LONG, HaProxy()), ["Patroni's REST API", "add Patroni(...)"]),
        (lambda: HaProxy(fast_interval_s=2), ["fast_interval_s=2", "check_interval_s=1"]),
        (lambda: HaProxy(fall=0), ["fall=0", "at least 1"]),
    ],
)
def test_nonsense_is_refused_with_field_and_mend(make: Callable[[], object], words: Sequence[str]) -> None:
    """One sentence that names the owner, the field, its value and what would do."""
    with pytest.raises(BadInput) as refused:
        make()
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_the_cap_is_told_to_zookeeper_only_where_there_is_one() -> None:
    """Else the server's own limit stands."""
    assert Patroni(session_s=3.5).environment["LAB_MOST_SESSION_MS"] == "3500"
    assert "LAB_MOST_SESSION_MS" not in Patroni().environment
    assert Patroni().environment["LAB_MANAGER"] == "patroni"


@dataclass
class FakeNode:
    """A node whose server answers `status` with what a test says, and notes what is done to it."""

    name: str
    role: str
    status: dict[str, Any]
    address: str = "10.0.0.1"
    offers: frozenset[str] = frozenset({"signal"})
    did: list[str] = field(default_factory=list)

    def tell(self, op: str, *, timeout_s: float = 5.0, **arguments: Any) -> dict[str, Any]:
        if op != "ask":
            self.did.append(op)
        return {"reached": bool(self.status), "answer": {"ok": True, **self.status}, "t_ns": 1}

    def start_server(self) -> None:
        self.did.append("start_server")

    def start_host(self) -> None:
        self.did.append("start_host")

    def kill_host(self) -> None:
        self.did.append("kill_host")

    def server_running(self) -> bool:
        return True


class FakeStack:
    """A watcher, HAProxy and three databases."""

    arm = "fake"

    def __init__(
        self, leader: str | None = "postgres1", up: Sequence[str] = ("postgres1",), unmanaged: str = ""
    ) -> None:
        found = [FakeNode("watcher", "watcher", {"connected": True, "leader": leader})]
        found.append(FakeNode("haproxy", "proxy", {"up": list(up)}))
        names = [f"postgres{number}" for number in (1, 2, 3)]
        found += [
            FakeNode(name, "postgres", {"manager_running": name != unmanaged, "state": "standby"}) for name in names
        ]
        self.nodes = {node.name: node for node in found}

    def role(self, role: str) -> list[FakeNode]:
        return [node for node in self.nodes.values() if node.role == role]


def test_ready_when_postgres1_holds_the_key_and_every_patroni_runs() -> None:
    """A sentence each for what is not so."""
    assert Patroni().lacking(FakeStack()) == []
    assert Patroni().lacking(FakeStack(leader=None)) == ["watcher: the leader key names nobody, not postgres1"]
    assert Patroni().lacking(FakeStack(unmanaged="postgres2")) == ["postgres2: its Patroni does not run"]
    assert Patroni().leader(FakeStack(leader="postgres3")) == "postgres3"


def test_who_lost_his_patroni_is_started_anew() -> None:
    """All others are left alone: their Patroni brings them back by itself."""
    stack = FakeStack(unmanaged="postgres1")
    Patroni().recover(stack)
    assert stack.nodes["postgres1"].did == ["signal", "start_server"]
    assert stack.nodes["postgres2"].did == []
    starting = FakeStack(unmanaged="postgres1")
    starting.nodes["postgres1"].status["state"] = "down"
    Patroni().recover(starting)
    assert starting.nodes["postgres1"].did == []


def test_haproxy_lets_through_to_exactly_the_leader() -> None:
    """Two, or nobody, is not ready."""
    assert HaProxy().lacking(FakeStack()) == []
    assert HaProxy().lacking(FakeStack(up=())) == ["haproxy: lets clients through to nobody"]
    assert HaProxy().lacking(FakeStack(up=("postgres1", "postgres2"))) == [
        "haproxy: lets clients through to postgres1, postgres2"
    ]
