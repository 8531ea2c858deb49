"""Controller, fences and the registrar of the primary on real servers: who is promoted when, and who is told of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.clock import S
from lab.errors import NodeLost
from lab.history import Event
from lab.systems import Controller, Postgres, PrimaryRegistrar, ZooKeeper
from lab.systems.primary_registrar import NAME
from lab.wait import wait_until
from tests.docker.test_systems import ALLOWANCE_S, Arm, arm_of, high_of, low_of

pytestmark = pytest.mark.docker


class Writer(threading.Thread):
    """Writes to a node, one row after the other, until that fails; `acknowledged` holds the ids."""

    def __init__(self, arm: Arm, node: str) -> None:
        super().__init__(daemon=True)
        self.arm = arm
        self.address = arm.stack.nodes[node].address
        self.acknowledged: list[int] = []

    def run(self) -> None:
        """Until it fails."""
        teller = self.arm.stack.nodes["controller"]
        about: dict[str, Any] = {"host": self.address, "port": 5432, "user": "app", "database": "lab"}
        for number in range(1, 10_000):
            query = f"insert into writes(id, attempt, route) values ({number}, 1, 'test') returning id"
            try:
                answer = teller.tell("ask", probe="sql", timeout_s=1.0, query=query, **about)
            except NodeLost:
                return
            if not answer.get("rows"):
                return
            self.acknowledged.append(number)


def begin(arm: Arm) -> Writer:
    """A trial's beginning, with somebody who writes to postgres1."""
    for system in arm.systems:
        if (recover := getattr(system, "recover", None)) is not None:
            recover(arm.stack)
    for system in arm.systems:
        system.reset(arm.stack)
    arm.await_ready()
    arm.history()
    writer = Writer(arm, "postgres1")
    writer.start()
    wait_until(lambda: len(writer.acknowledged) > 20, timeout_s=20)
    return writer


def until(arm: Arm, kind: str, limit_s: float = 20.0) -> dict[str, Event]:
    """Everything since `begin` until an event of a kind, by kind (the first of each)."""
    seen: dict[str, Event] = {}

    def there() -> bool:
        for event in arm.history():
            seen.setdefault(event.kind, event)
        return kind in seen

    wait_until(there, timeout_s=limit_s, message=lambda: f"no {kind}, but {sorted(seen)}")
    return seen


def kept(arm: Arm, node: str, ids: list[int]) -> bool:
    """Whether a node's table holds all of these ids."""
    asked = arm.stack.nodes[node]
    found = asked.tell("ask", probe="rows", host="127.0.0.1", port=5432, timeout_s=5.0)["ranges"].get("test", [])
    return all(any(low <= number <= high for low, high in found) for number in ids)


SYNC = Postgres(standbys=2, replication="sync")


@pytest.fixture(scope="class")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arm]:
    systems = (SYNC, Controller(), PrimaryRegistrar(), ZooKeeper(servers=1))
    for system in systems[:3]:
        system.check_beside(systems, [])
    with arm_of(tmp_path_factory.mktemp("controller"), *systems) as made:
        yield made


class TestController:
    """One stack for all of them."""

    def test_a_crash_is_detected_and_answered_inside_the_bounds_and_nothing_is_lost(self, arm: Arm) -> None:
        """In sync: every id that was acknowledged is on the new primary, and everybody is told who that is."""
        writer = begin(arm)
        at_ns = arm.kill("postgres1")
        seen = until(arm, "registry.propagated")
        writer.join(10)
        bounds = arm.systems[1].bounds("crash")
        took_s = (seen["failover.detected"].t_ns - at_ns) / S
        assert low_of(bounds, "detection") - 0.05 <= took_s <= high_of(bounds, "detection") + ALLOWANCE_S
        promoted, new = seen["failover.promoted"], seen["failover.promoted"].fields["node"]
        promotion_s = (promoted.t_ns - seen["failover.detected"].t_ns) / S
        assert promotion_s <= high_of(bounds, "promotion") + ALLOWANCE_S
        assert promoted.fields["before_ns"] - promoted.fields["after_ns"] < 0.05 * S
        assert kept(arm, new, writer.acknowledged)
        assert (seen["registry.propagated"].fields["node"], seen["registry.propagated"].fields["timeline"]) == (new, 2)

        def told() -> bool:
            answer = arm.stack.nodes["resolver"].tell("ask", probe="dns", host="127.0.0.1", name=NAME, type="A")
            return bool(answer.get("answers") == [arm.stack.nodes[new].address])

        wait_until(told, timeout_s=4)

    def test_a_reset_makes_the_resolver_forget_the_last_trial(self, arm: Arm) -> None:
        """The first answer of a trial is the trial's own."""
        begin(arm)
        answer = arm.stack.nodes["resolver"].tell("ask", probe="dns", host="127.0.0.1", name=NAME, type="A")
        assert answer["answers"] == [arm.stack.nodes["postgres1"].address]

    def test_a_switchover_loses_nothing_and_leaves_one_who_takes_writes(self, arm: Arm) -> None:
        """The old primary was read-only before the new one was promoted, and still is."""
        writer = begin(arm)
        message = {"do": "switchover"}
        assert arm.stack.nodes["controller"].tell("ask", probe="control", message=message)["answer"]["ok"]
        seen = until(arm, "failover.done")
        writer.join(10)
        new = seen["failover.promoted"].fields["node"]
        assert seen["failover.fenced"].fields["before_ns"] <= seen["failover.promoting"].t_ns
        assert kept(arm, new, writer.acknowledged)
        status = arm.stack.nodes["postgres1"].tell("ask", probe="control", message={"do": "status"})["answer"]
        assert status["state"] == "read_only"

    def test_of_two_primaries_the_registrar_takes_the_later_and_says_so(self, arm: Arm) -> None:
        """The controller alone does not reach postgres1, which nobody fences: both take writes."""
        begin(arm)
        old = arm.stack.nodes["postgres1"]
        old.tell("cut", peers=[arm.stack.nodes["controller"].address], ports=[], direction="both", how="drop")
        try:
            published = until(arm, "registry.published")
        finally:
            old.tell("uncut")
        new = published["failover.promoted"].fields["node"]
        assert published["registrar.saw"].fields["primaries"] == [["postgres1", 1], [new, 2]]
        assert published["registry.published"].fields["node"] == new


def test_a_paused_primary_is_stopped_before_another_is_promoted(tmp_path: Path) -> None:
    """The fence is a step of its own, and there is nobody left who could go on."""
    controller = Controller(fence="stop")
    with arm_of(tmp_path, Postgres(standbys=1), controller) as arm:
        begin(arm)
        paused = arm.stack.nodes["postgres1"]
        at_ns = paused.tell("signal", signal="STOP", wait_s=2.0)["after_ns"]
        seen = until(arm, "failover.done")
        assert not paused.tell("processes")["processes"]
    bounds = controller.bounds("pause")
    detected_s = (seen["failover.detected"].t_ns - at_ns) / S
    assert low_of(bounds, "detection") - 0.05 <= detected_s <= high_of(bounds, "detection") + ALLOWANCE_S
    assert seen["failover.fenced"].fields["before_ns"] <= seen["failover.promoting"].t_ns
    assert (seen["failover.fenced"].t_ns - seen["failover.detected"].t_ns) / S <= high_of(bounds, "fencing")
