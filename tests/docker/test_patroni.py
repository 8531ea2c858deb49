"""Real Patroni, ZooKeeper and HAProxy in pods: a cold start, a failover within its bounds, a restart in place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Arm
from lab.clock import S
from lab.cluster.cluster import DockerCluster
from lab.cluster.stack import PodStack
from lab.history import Event, History
from lab.protocols import Bounds
from lab.routes import ByHaProxy
from lab.systems import HaProxy, Patroni, Postgres, ZooKeeper
from lab.wait import wait_until

pytestmark = pytest.mark.docker

PATRONI = Patroni(session_s=4)
ARM = Arm("patroni", Postgres(), PATRONI, ZooKeeper(servers=1, tick_s=0.2), HaProxy(), routes=[ByHaProxy()])
ALLOWANCE_S = 1.5
"""What a busy machine of two cores adds to a bound: this is about servers, not about the lab's own lag."""
EARLY_S = 0.5
"""How much older than a round the last heartbeat is on such a machine."""
POSTMASTER = r"^\S*\bpostgres( |$)"
MANAGER = r"^\S*python\S* \S*\bpatroni "


class Running:
    """The arm's stack, and everything that its writers have written since its last reset."""

    def __init__(self, cluster: DockerCluster, folder: Path) -> None:
        self.cluster = cluster
        self.stack: PodStack = cluster.up(ARM.name, ARM.compose_files, ARM.environment)
        self.folder = folder
        self.looks = 0
        self.events: list[Event] = []
        # What does not answer yet would not hear of a reset.
        wait_until(lambda: not any("answer" in lack for lack in self.lacking()), timeout_s=60.0, every_s=0.2)

    def lacking(self) -> list[str]:
        return [lack for system in ARM.systems for lack in system.lacking(self.stack)]

    def fresh(self) -> None:
        """As a trial begins."""
        for system in ARM.systems:
            system.reset(self.stack)
        wait_until(lambda: not self.lacking(), timeout_s=60.0, message=lambda: str(self.lacking()))
        self.look()
        self.events.clear()

    def look(self) -> History:
        self.looks += 1
        folder = self.folder / str(self.looks)
        folder.mkdir()
        self.cluster.collect(self.stack, folder)
        self.events += list(History.read(folder.glob("*.jsonl")))
        return History(self.events)

    def seen(self, kind: str, after_ns: int, **fields: Any) -> Event:
        """Wait for the first event of a kind with these fields."""

        def found() -> Event | None:
            told = (event for event in self.look().of(kind) if event.t_ns > after_ns)
            return next((e for e in told if all(e.fields[name] == value for name, value in fields.items())), None)

        return wait_until(found, timeout_s=30.0, every_s=0.1, message=f"no {kind} with {fields}")

    def kill(self, node: str, match: str = "") -> int:
        """SIGKILL to a node's server, or to what of it matches; the instant of the edge."""
        edge = self.stack.nodes[node].tell("signal", signal="KILL", wait_s=2.0, match=match)
        assert edge["done"] and edge["pids"], edge
        return int(edge["after_ns"] + edge["before_ns"]) // 2


@pytest.fixture(scope="module")
def running(cluster: DockerCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The stack, once for all tests of this file."""
    found = Running(cluster, tmp_path_factory.mktemp("patroni"))
    yield found
    cluster.down(found.stack)


def span_of(bounds: Bounds | None, *names: str) -> tuple[float, float]:
    assert bounds is not None
    chosen = [phase for phase in bounds.phases if not names or phase.name in names]
    return sum(phase.low_s for phase in chosen), sum(phase.high_s for phase in chosen)


def test_from_nothing_to_a_leader_and_two_standbys(running: Running) -> None:
    """postgres1 leads every time, everybody streams from it, and HAProxy lets through to it alone: fresh() waits."""
    for _ in range(2):
        running.fresh()
        assert [system.leader(running.stack) for system in ARM.systems[:2]] == ["postgres1", "postgres1"]


def test_a_crash_is_answered_within_its_bounds(running: Running) -> None:
    """The key is gone when the session has ended, then another server is promoted, and HAProxy finds it."""
    running.fresh()
    died_ns = running.kill("postgres1")
    gone = running.seen("leader.key", died_ns)
    primary = running.seen("database.state", died_ns, state="primary")
    up = running.seen("proxy.state", died_ns, node=primary.fields["node"], up=True)
    assert primary.fields["node"] != "postgres1"
    assert PATRONI.leader(running.stack) == primary.fields["node"]
    low_s, high_s = span_of(PATRONI.bounds("crash"), "detection")
    assert low_s - EARLY_S <= (gone.t_ns - died_ns) / S <= high_s + ALLOWANCE_S
    low_s, high_s = span_of(PATRONI.bounds("crash"))
    assert low_s - EARLY_S <= (primary.t_ns - died_ns) / S <= high_s + ALLOWANCE_S
    assert (up.t_ns - primary.t_ns) / S <= HaProxy().publication.high_s + ALLOWANCE_S

    running.stack.nodes["postgres1"].start_server()
    running.seen("rows", died_ns, node="postgres1", when="boot")
    running.seen("database.state", primary.t_ns, node="postgres1", upstream=primary.fields["node"], receiving=True)


def test_a_postmaster_alone_is_started_in_place(running: Running) -> None:
    """That is no failover: the key stays where it is, and nobody else is ever a primary."""
    running.fresh()
    died_ns = running.kill("postgres1", POSTMASTER)
    back = running.seen("database.state", died_ns, node="postgres1", state="primary")
    assert (back.t_ns - died_ns) / S <= span_of(PATRONI.bounds("crash_postmaster"))[1] + ALLOWANCE_S
    running.seen("manager.log", died_ns, node="postgres1", what="restarting")
    later = [event for event in running.look() if event.t_ns > died_ns]
    assert not [event for event in later if event.kind == "leader.key"]
    primaries = {e.fields["node"] for e in later if e.kind == "database.state" and e.fields["state"] == "primary"}
    assert primaries == {"postgres1"}


def test_a_patroni_alone_leaves_two_primaries_until_it_is_started_anew(running: Running) -> None:
    """Nobody demotes its Postgres; `recover` starts the whole server anew, and Patroni rewinds it."""
    running.fresh()
    died_ns = running.kill("postgres1", MANAGER)
    running.seen("manager.log", died_ns, node="postgres1", what="ended")
    primary = running.seen("database.state", died_ns, state="primary")
    low_s, high_s = span_of(PATRONI.bounds("crash_manager"))
    assert low_s <= (primary.t_ns - died_ns) / S <= high_s + ALLOWANCE_S
    assert not [e for e in running.look().of("database.state") if e.t_ns > died_ns and e.fields["node"] == "postgres1"]
    PATRONI.recover(running.stack)
    running.seen("database.state", primary.t_ns, node="postgres1", upstream=primary.fields["node"], receiving=True)
