"""Faults of a database's processes and its fences, on real servers: what is hit, what lives on, and what comes back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from lab import Arm, clock
from lab.cluster import DockerCluster
from lab.cluster.node import PodNode
from lab.cluster.stack import PodStack
from lab.faults import ManagerCrash, PostmasterCrash, Switchover
from lab.protocols import Evidence, Fault, Injection
from lab.routes import MultiHost
from lab.strike import StruckSite, site_of
from lab.systems import Manual, Patroni, Postgres, ZooKeeper
from lab.wait import wait_until
from tests.docker.test_cuts import order

pytestmark = pytest.mark.docker


class Running:
    """An arm's stack that is up and ready; `fresh` brings it back to how a trial begins."""

    def __init__(self, cluster: DockerCluster, arm: Arm) -> None:
        self.arm = arm
        environment: dict[str, str] = {}
        for system in arm.systems:
            environment |= system.environment
        files = dict.fromkeys(file for system in arm.systems for file in system.compose_files)
        self.stack: PodStack = cluster.up(arm.name, list(files), environment)
        # What does not answer yet would not hear of a reset.
        wait_until(lambda: not any("answer" in lack for lack in self.lacking()), timeout_s=60.0, every_s=0.2)

    def lacking(self) -> list[str]:
        """What is not ready yet."""
        return [lack for system in self.arm.systems for lack in system.lacking(self.stack)]

    def ready(self, timeout_s: float = 60.0) -> None:
        """Wait until it is."""
        wait_until(lambda: not self.lacking(), timeout_s=timeout_s, message=lambda: str(self.lacking()))

    def fresh(self) -> PodStack:
        """Reset, and wait until it is ready."""
        for system in self.arm.systems:
            system.reset(self.stack)
        self.ready()
        return self.stack


@pytest.fixture(scope="module")
def plain(cluster: DockerCluster) -> Iterator[Running]:
    """postgres1 and a standby; nobody promotes anything."""
    running = Running(cluster, Arm("plain", Postgres(standbys=1), Manual(after_s=600), routes=[MultiHost()]))
    yield running
    cluster.down(running.stack)


@pytest.fixture(scope="module")
def managed(cluster: DockerCluster) -> Iterator[Running]:
    """The same under Patroni, with a ZooKeeper of one server."""
    systems = (Postgres(standbys=1), Patroni(), ZooKeeper(servers=1, tick_s=1))
    running = Running(cluster, Arm("managed", *systems, routes=[MultiHost()]))
    yield running
    cluster.down(running.stack)


def struck(fault: Fault, site: StruckSite) -> tuple[Injection, Evidence]:
    """Inject, with what a fault must show before and after; the injection as JSON brings it, and the evidence."""
    before = fault.verify(site, None)
    assert not before["holds"], before
    injection = Injection(**orjson.loads(orjson.dumps(fault.inject(site))))
    after = fault.verify(site, injection)
    assert after["holds"], after
    return injection, after


def healed(fault: Fault, site: StruckSite, injection: Injection) -> None:
    """Heal twice from JSON alone; it holds no longer."""
    for _ in range(2):
        fault.heal(site, injection)
        wait_until(lambda: not fault.verify(site, injection)["holds"], timeout_s=5.0)


def sql(node: PodNode, query: str, **where: Any) -> Any:
    """The rows of a statement, or the reason why there are none."""
    seen = node.tell("ask", probe="sql", host=node.address, query=query, timeout_s=3.0, **where)
    return seen["rows"] if seen["reached"] else seen["why"]


INSERT = "insert into writes(id, attempt, route) values (1, 1, 'a') returning id"


def test_a_postmaster_crash_leaves_the_supervisor_alone(plain: Running) -> None:
    """Nobody starts it again; healing does, with its data."""
    stack = plain.fresh()
    site = site_of(stack, "postgres1", frozenset({"postgres1"}))
    assert sql(stack.pods["postgres1"], INSERT) == [[1]]
    injection, after = struck(PostmasterCrash(), site)
    assert len(injection.details["pids"]) == 1
    assert any("lab.inside database" in process["command"] for process in after["server_processes"])
    assert "refused" in sql(stack.pods["postgres1"], "select 1")
    healed(PostmasterCrash(), site, injection)
    wait_until(lambda: sql(stack.pods["postgres1"], "select id from writes") == [[1]], timeout_s=20)


def test_rows_are_told_alike_by_primary_and_standby(plain: Running) -> None:
    """Ranges of ids, and what is there twice, from any node's agent."""
    stack = plain.fresh()
    one, two = stack.pods["postgres1"], stack.pods["postgres2"]
    sql(one, "insert into writes(id, attempt, route) values (1,1,'a'), (2,1,'a'), (4,1,'a'), (4,2,'a'), (7,1,'b')")

    def rows(of: PodNode) -> dict[str, Any]:
        return two.tell("ask", probe="rows", host=of.address, timeout_s=3.0)

    wait_until(lambda: rows(two)["count"] == 5, timeout_s=5)
    for node, in_recovery in ((one, False), (two, True)):
        told = rows(node)
        assert told["node_address"] == node.address and told["in_recovery"] is in_recovery and told["timeline"] == 1
        assert told["ranges"] == {"a": [[1, 2], [4, 4]], "b": [[7, 7]]}
        assert told["repeated"] == {"a": [[4, 2]]}
    one.tell("signal", signal="STOP", wait_s=2.0)
    assert rows(one)["reached"] is False
    one.tell("signal", signal="CONT", wait_s=2.0)


OPEN_TRANSACTION = """
import psycopg, sys
c = psycopg.connect(host=sys.argv[1], user="app", dbname="lab")
c.execute("insert into writes(id, attempt, route) values (9, 1, 'open')")
print("ready", flush=True)
sys.stdin.readline()
try:
    c.commit()
    print("acknowledged", flush=True)
except psycopg.Error as error:
    print(str(error).splitlines()[0], flush=True)
"""


def test_a_fence_of_read_only_ends_who_may_still_write(plain: Running) -> None:
    """A transaction that was open gets no acknowledgement, new sessions only read, unfence lets them write again."""
    stack = plain.fresh()
    one, two = stack.pods["postgres1"], stack.pods["postgres2"]
    command = ["docker", "exec", "-i", two.server_id, "/opt/venv/bin/python3", "-c", OPEN_TRANSACTION, one.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None and session.stdout.readline() == "ready\n"
        answer = order(two, one, {"do": "fence", "how": "read_only"})
        assert answer["ok"], answer
        assert answer["before_ns"] - answer["after_ns"] < 1500 * clock.MS
        said, _ = session.communicate("\n", timeout=10)
    assert "terminat" in said, said
    assert "read-only" in sql(one, INSERT, user="app")
    assert sql(one, "select count(*) from writes") == [[0]]
    assert order(two, one, {"do": "unfence"})["ok"]
    wait_until(lambda: sql(one, INSERT, user="app") == [[1]], timeout_s=3)


def test_a_paused_server_cannot_be_made_read_only(plain: Running) -> None:
    """The fence fails in a time that is known, and says so."""
    stack = plain.fresh()
    one, two = stack.pods["postgres1"], stack.pods["postgres2"]
    one.tell("signal", signal="STOP", wait_s=2.0)
    start_ns = clock.now_ns()
    answer = order(two, one, {"do": "fence", "how": "read_only"})
    assert not answer["ok"] and "timeout" in answer["error"]
    assert clock.now_ns() - start_ns < 4 * clock.S
    one.tell("signal", signal="CONT", wait_s=2.0)


def test_a_switchover_is_asked_of_the_operator(plain: Running) -> None:
    """The other one leads when it is done; the instant is that of asking."""
    stack = plain.fresh()
    site = site_of(stack, "postgres1", frozenset({"postgres1"}))
    injection, after = struck(Switchover(), site)
    assert injection.details["asked"] == "controller"
    assert injection.before_ns - injection.after_ns < 20 * clock.MS
    assert after["states"]["postgres2"] == "primary"
    assert sql(stack.pods["postgres2"], INSERT, user="app") == [[1]]


def test_a_switchover_is_asked_of_patroni(managed: Running) -> None:
    """Of the one on the leader's node, where there is no controller."""
    stack = managed.fresh()
    injection, after = struck(Switchover(), site_of(stack, "postgres1", frozenset({"postgres1"})))
    assert injection.details["asked"] == "postgres1"
    assert after["states"]["postgres2"] == "primary"


def test_a_manager_crash_leaves_its_postgres_alone(managed: Running) -> None:
    """Patroni is gone and its Postgres takes writes on; healing brings Patroni back."""
    stack = managed.fresh()
    one = stack.pods["postgres1"]
    site = site_of(stack, "postgres1", frozenset({"postgres1"}))
    injection, after = struck(ManagerCrash(), site)
    assert len(injection.details["pids"]) == 1
    assert any(" -D " in process["command"] for process in after["server_processes"])
    assert sql(one, INSERT, user="app") == [[1]]
    healed(ManagerCrash(), site, injection)


def test_a_postmaster_crash_under_patroni_is_seen_before_it_is_mended(managed: Running) -> None:
    """Patroni lives and starts it again in place; there is nothing left to heal."""
    stack = managed.fresh()
    one = stack.pods["postgres1"]
    site = site_of(stack, "postgres1", frozenset({"postgres1"}))
    injection, after = struck(PostmasterCrash(), site)
    assert any("patroni" in process["command"] for process in after["server_processes"])
    wait_until(lambda: sql(one, INSERT, user="app") == [[1]], timeout_s=20)
    spared = {process["pid"] for process in one.tell("processes")["processes"]}
    healed(PostmasterCrash(), site, injection)
    assert spared & set(injection.details["spared"])
