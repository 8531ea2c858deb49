"""The whole controller on servers that answer what a test says: in which order it acts, and when it does not act."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from lab.clock import S, now_ns
from lab.history import Recorder
from lab.inside.controller import duty
from lab.inside.controller.duty import Controller
from lab.inside.controller.fence import NotFenced
from lab.inside.controller.rules import Rules
from lab.inside.controller.server import Server
from lab.inside.sql import Failed, Row

ADDRESSES = {"postgres1": "10.0.0.1", "postgres2": "10.0.0.2", "postgres3": "10.0.0.3"}


class World:
    """Three servers: who answers, who is in recovery, how far each is; and what was asked of them."""

    def __init__(self) -> None:
        self.up = dict.fromkeys(ADDRESSES, True)
        self.standby = {"postgres1": False, "postgres2": True, "postgres3": True}
        self.has = {"postgres2": 100, "postgres3": 200}
        self.replays = 0
        """How much more each has replayed whenever it is asked for that."""
        self.asked: list[tuple[str, str]] = []
        self.fences: list[Exception | None] = []
        self.fenced: list[tuple[str, str, tuple[str, ...]]] = []

    async def probe(self, address: str, timeout_s: float) -> str:
        node = next(node for node, one in ADDRESSES.items() if one == address)
        if not self.up[node]:
            return "refused"
        return "in_recovery" if self.standby[node] else ""

    async def fence(self, address: str, how: str, clients: Sequence[str]) -> tuple[int, int]:
        failed = self.fences.pop(0) if self.fences else None
        if failed is not None:
            raise failed
        self.fenced.append((address, how, tuple(clients)))
        return 11, 12

    def answer(self, node: str, query: str) -> list[Row]:
        if not self.up[node]:
            raise Failed("no session")
        self.asked.append((node, query))
        if "pg_last_wal_receive_lsn" in query:
            return [(self.has.get(node) if self.standby[node] else None,)]
        if "pg_promote" in query:
            self.standby[node] = False
        if "current_setting('primary_conninfo')" in query:
            return [(f"host=10.0.0.1 port=15431 user=repl application_name={node}", self.standby[node])]
        if "default_transaction_read_only') = 'on'" in query:
            return [(True, "2026-11-26 04:00:00+00")]
        if "pg_terminate_backend" in query:
            return [(0,)]
        if "flush_lsn" in query:
            return [(150,)]
        if "replay_lsn" in query:
            self.has[node] += self.replays
            return [(self.has[node],)]
        return [(self.standby[node],)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The controller sees this world in the place of servers."""
    made = World()

    async def rows(self: Any, query: str) -> list[Row]:
        if self.left:
            raise Failed("no session")
        return made.answer(self.node, query)

    async def keep(self: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(duty, "probe", made.probe)
    monkeypatch.setattr(duty, "fence", made.fence)
    monkeypatch.setattr(Server, "rows", rows)
    monkeypatch.setattr(Server, "keep", keep)
    return made


class Run:
    """A controller that runs in this world, and what it has recorded."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        self.events = Recorder(folder, "controller")
        self.controller = Controller(ADDRESSES, ["10.0.0.9"], rules, "7", self.events)

    def told(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.events.path.read_bytes().splitlines()[1:]]

    def kinds(self) -> list[str]:
        kinds = [event["kind"].removeprefix("failover.") for event in self.told()]
        return [kind for kind in kinds if kind != "checked"]

    def of(self, kind: str) -> dict[str, Any]:
        return next(event for event in self.told() if event["kind"] == f"failover.{kind}")

    async def until(self, kind: str, limit_s: float = 5.0) -> None:
        deadline_ns = now_ns() + int(limit_s * S)
        while kind not in [event["kind"].removeprefix("failover.") for event in self.told()]:
            assert now_ns() < deadline_ns, (kind, self.told())
            await asyncio.sleep(0.005)

    async def until_doing(self, *what: str, limit_s: float = 5.0) -> None:
        deadline_ns = now_ns() + int(limit_s * S)
        while self.controller.doing not in what:
            assert now_ns() < deadline_ns, (what, self.controller.doing)
            await asyncio.sleep(0.005)


FAST: Mapping[str, Any] = {"interval_s": 0.02, "timeout_s": 0.05}


def carry_out(run: Run, act: Any) -> None:
    async def whole() -> None:
        running = asyncio.create_task(run.controller.run(idle=False))
        try:
            await act()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            run.events.close()

    asyncio.run(whole())


def test_a_failed_primary_is_replaced_by_the_most_advanced_and_the_others_follow(tmp_path: Path, world: World) -> None:
    """The order of the steps, the standby's new upstream (straight, not through the link), and who is watched then."""
    run = Run(tmp_path, Rules(**FAST))

    async def act() -> None:
        await run.until_doing("watching")
        world.up["postgres1"] = False
        await run.until("done")

    carry_out(run, act)
    assert run.kinds() == ["detected", "chosen", "promoting", "promoted", "repointed", "done"]
    assert run.of("detected")["checks"] == 3
    assert run.of("chosen")["candidates"] == {"postgres2": 100, "postgres3": 200}
    assert run.of("promoted")["node"] == run.controller.primary == "postgres3"
    pointed = next(query for node, query in world.asked if "set primary_conninfo" in query)
    assert "host=10.0.0.3" in pointed and "port=5432" in pointed and "application_name=postgres2" in pointed
    asked = [query for node, query in world.asked if node == "postgres3"]
    assert "pg_last_wal_receive_lsn" in asked[asked.index("select pg_promote(wait => false)") - 1]


def test_a_primary_that_comes_back_in_time_stays(tmp_path: Path, world: World) -> None:
    """Two failures of three, then a good probe: both are recorded, nothing is done."""
    run = Run(tmp_path, Rules(**FAST))

    async def act() -> None:
        await run.until_doing("watching")
        world.up["postgres1"] = False
        await run.until_doing("suspects")
        world.up["postgres1"] = True
        await run.until_doing("watching")

    carry_out(run, act)
    assert run.kinds() == []
    assert [event["ok"] for event in run.told()][-1] is True
    assert run.controller.primary == "postgres1"


def test_nobody_is_promoted_before_the_old_primary_is_fenced(tmp_path: Path, world: World) -> None:
    """A fence that fails is tried again, for ever."""
    world.fences = [NotFenced("timeout"), NotFenced("timeout")]
    run = Run(tmp_path, Rules(**FAST, fence="cut_clients"))

    async def act() -> None:
        await run.until_doing("watching")
        world.up["postgres1"] = False
        await run.until("done")

    carry_out(run, act)
    assert run.kinds()[:6] == ["detected", "fencing", "fence_failed", "fence_failed", "fenced", "chosen"]
    assert (run.of("fenced")["after_ns"], run.of("fenced")["before_ns"]) == (11, 12)
    assert world.fenced == [("10.0.0.1", "cut_clients", ("10.0.0.9",))]


def test_without_a_standby_it_is_stuck_until_the_primary_is_back(tmp_path: Path, world: World) -> None:
    """It says so once, and watches again what it could not replace."""
    run = Run(tmp_path, Rules(**FAST))

    async def act() -> None:
        await run.until_doing("watching")
        for node in world.up:
            world.up[node] = False
        await run.until("stuck")
        world.up["postgres1"] = True
        await run.until_doing("watching")

    carry_out(run, act)
    assert run.kinds() == ["detected", "stuck"]
    assert run.of("stuck")["why"] == "no standby answers"


def test_in_sync_the_new_primary_waits_for_those_that_are_left(tmp_path: Path, world: World) -> None:
    """One of two is gone with the primary: fewer than were asked for, and that is said."""
    run = Run(tmp_path, Rules(**FAST, sync_standbys=1))

    async def act() -> None:
        await run.until_doing("watching")
        world.up["postgres1"] = world.up["postgres2"] = False
        await run.until("done")

    carry_out(run, act)
    assert run.kinds() == ["detected", "chosen", "degraded", "promoting", "promoted", "done"]
    assert run.of("degraded")["sync_standbys"] == 0
    assert ("postgres3", "alter system set synchronous_standby_names = ''") in world.asked


def test_in_sync_a_standby_that_is_ahead_is_not_waited_for(tmp_path: Path, world: World) -> None:
    """The first standby was promoted and had less: the other one cannot follow before it is rewound."""
    run = Run(tmp_path, Rules(**FAST, sync_standbys=1, promote="first"))

    async def act() -> None:
        await run.until_doing("watching")
        world.up["postgres1"] = False
        await run.until("done")

    carry_out(run, act)
    assert run.of("promoted")["node"] == "postgres2"
    assert run.of("degraded")["sync_standbys"] == 0


def test_an_operator_acts_at_his_time(tmp_path: Path, world: World) -> None:
    """0.3 s after the first failed probe, though three failures took less."""
    run = Run(tmp_path, Rules(**FAST, operator_s=0.3))

    async def act() -> None:
        await run.until_doing("watching")
        world.up["postgres1"] = False
        await run.until("done")

    carry_out(run, act)
    first = next(event for event in run.told() if event["kind"] == "failover.checked")
    assert 0.3 <= (run.of("detected")["t_ns"] - first["t_ns"]) / S < 0.4
    assert run.of("detected")["checks"] > 3


def test_in_a_switchover_the_standby_has_everything_before_it_is_promoted(tmp_path: Path, world: World) -> None:
    """Read-only first; promoted only when it has replayed up to the old primary's last commit."""
    world.has, world.replays = {"postgres2": 100, "postgres3": 60}, 25
    run = Run(tmp_path, Rules(**FAST))

    async def act() -> None:
        await run.until_doing("watching")
        assert run.controller.answer(asyncio.get_running_loop(), {"do": "switchover"})["ok"]
        await run.until("done")

    carry_out(run, act)
    assert run.kinds() == ["detected", "fencing", "fenced", "chosen", "promoting", "promoted", "repointed", "done"]
    asked = [query for _, query in world.asked]
    assert asked.index("alter system set default_transaction_read_only = on") == 0
    promoted_at = asked.index("select pg_promote(wait => false)")
    assert sum("replay_lsn(), '0/0'), '0/0')::bigint" in q and "case" not in q for q in asked[:promoted_at]) == 2
    assert not any("reset default_transaction_read_only" in query for query in asked)


def test_a_switchover_without_a_standby_gives_the_primary_its_writes_back(tmp_path: Path, world: World) -> None:
    """Nobody else takes writes, so it may."""
    world.up["postgres2"] = world.up["postgres3"] = False
    run = Run(tmp_path, Rules(**FAST))

    async def act() -> None:
        await run.until_doing("watching")
        run.controller.order("switchover")
        await run.until("stuck")
        await run.until_doing("watching")

    carry_out(run, act)
    assert ("postgres1", "alter system reset default_transaction_read_only") in world.asked


def test_who_was_never_seen_well_has_not_failed(tmp_path: Path, world: World) -> None:
    """A primary that is only just starting is waited for."""
    world.up["postgres1"] = False
    run = Run(tmp_path, Rules(**FAST))

    async def act() -> None:
        deadline_ns = now_ns() + S
        while len(run.told()) < 6 and now_ns() < deadline_ns:
            await asyncio.sleep(0.005)
        world.up["postgres1"] = True
        await run.until_doing("watching")

    carry_out(run, act)
    assert run.kinds() == []
    assert len(run.told()) >= 6


def test_reset_begins_anew_and_stand_down_sees_nothing(tmp_path: Path, world: World) -> None:
    """After a failover postgres1 is the one to watch again; until then the lab may do as it likes with its servers."""
    run = Run(tmp_path, Rules(**FAST))

    async def act() -> None:
        await run.until_doing("watching")
        world.up["postgres1"] = False
        await run.until("done")
        run.controller.order("stand_down")
        await run.until_doing("idle")
        world.up["postgres3"] = False
        world.up["postgres1"], world.standby["postgres3"] = True, True
        run.controller.order("reset")
        await run.until_doing("watching")
        world.up["postgres3"] = True

    carry_out(run, act)
    assert run.kinds().count("detected") == 1
    assert run.controller.primary == "postgres1"
