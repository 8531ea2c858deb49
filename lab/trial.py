"""One trial: ready -> baseline -> strike ... hold -> heal -> settle -> final -> collect, recorded and not judged."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.clock import S
from lab.errors import EngineLost, LabError, NodeLost
from lab.history import SharedRecorder
from lab.plan import Plan, PlannedStrike, Trial, baseline_s, hold_limit_s, settle_limit_s, spread_s
from lab.protocols import Beat, Bounds, Cluster, Fields, Injection, Progress, Stack
from lab.scenario import Arm
from lab.strike import heal, site_of, strike
from lab.wait import TimedOut, wait_until

RIGHT_FOR_S = 1.0
"""Every client must have been right for this long before a hold or a settle ends."""
READY_S = 60.0
"""How long a stack may take to become ready."""


class Stopped(Exception):
    """A person asked to stop; the trial heals, collects and ends."""


@dataclass(slots=True)
class TrialRun:
    """What one trial needs, and the verbs of its phases."""

    plan: Plan
    trial: Trial
    arm: Arm
    stack: Stack
    cluster: Cluster
    folder: Path
    progress: Progress
    stop: threading.Event
    log: SharedRecorder = field(init=False)
    injected: list[tuple[PlannedStrike, Injection]] = field(default_factory=list)
    effective: set[PlannedStrike] = field(default_factory=set)
    """Strikes that took effect and hold: what clients should come to see."""
    loading: bool = False

    def __post_init__(self) -> None:
        self.log = SharedRecorder(self.folder, "lab")

    # -- the phases, in order ------------------------------------------------------------------------------------

    def carry_out(self) -> bool:
        """Every phase in order; heals and collects whatever happens. True when the stack is fit for the next trial."""
        fit = False
        try:
            self._record_plan()
            with self._phase("ready", READY_S):
                self._reset()
                self._await_ready()
            with self._phase("baseline", self._baseline_s + self._return_limit_s):
                self._begin_load()
                self._baseline()
            try:
                self._strike_and_hold()
            finally:
                with self._phase("heal", 65.0):
                    self._heal()
            with self._phase("settle", self._return_limit_s):
                right, whole = self._settle(), self._all_stand()
            fit = right and whole
        except Stopped:
            self.log.record("trial.error", text="stopped by a person before it was over")
        except EngineLost:
            raise
        except (NodeLost, TimedOut, LabError) as error:
            self.log.record("trial.error", text=str(error))
            self.progress({"what": "note", "text": f"trial {self.trial.number}: {error}"})
        finally:
            self._end()
        return fit

    def _strike_and_hold(self) -> None:
        if not self.trial.strikes:
            with self._phase("hold", self.plan.scenario.quiet_s):
                self._pause_s(self.plan.scenario.quiet_s)
            return
        span_s = max(planned.at_s for planned in self.trial.strikes)
        with self._phase("strike", self.arm.beat_s + span_s + 5.0):
            beat, first_ns = self._aim()
            with ThreadPoolExecutor(len(self.trial.strikes)) as pool:
                flying = [pool.submit(self._strike, planned, beat, first_ns) for planned in self.trial.strikes]
                self._until_at(first_ns + int(span_s * S))
                on_s = spread_s(self.arm, self.trial)
                with self._phase("hold", self._hold_limit_s + on_s):
                    self._hold(flying)
                    self._pause_s(on_s)  # so that returns are spread over the beat

    # -- verbs ---------------------------------------------------------------------------------------------------

    def _reset(self) -> None:
        for system in self.arm.systems:
            system.reset(self.stack)

    def _await_ready(self) -> None:
        lacking: list[str] = []

        def ready() -> bool:
            self._check_stop()
            lacking[:] = [text for system in self.arm.systems for text in system.lacking(self.stack)]
            if lacking:
                self._tell_phase("ready", READY_S, lacking[0])
            return not lacking

        wait_until(ready, timeout_s=READY_S, every_s=0.05, message=lambda: "not ready: " + "; ".join(lacking))

    def _record_plan(self) -> None:
        scenario, trial = self.plan.scenario, self.trial
        bounds = {change: _as_fields(bound) for change, bound in self._bounds.items()}
        self.log.record(
            "plan",
            arm=self.arm.name,
            repeat=trial.repeat,
            trial=trial.number,
            scenario=self.plan.name,
            seed=self.plan.seed,
            service="shop",
            nodes=[{"node": n.name, "role": n.role, "address": n.address} for n in self.stack.nodes.values()],
            expected=sorted(self._at_start),
            settings=self.arm.settings,
            clients=self._clients,
            rate_per_s=scenario.load.settings["rate_per_s"],
            deadline_s=scenario.load.settings["deadline_s"],
            bounds=bounds,
            beat={"name": self.arm.beat_name, "period_s": self.arm.beat_s},
            strikes=[
                {
                    "strike": planned.strike,
                    "fault": planned.fault.name,
                    "target": planned.target,
                    "at_s": planned.at_s,
                    "phase": planned.phase,
                }
                for planned in trial.strikes
            ],
        )

    def _begin_load(self) -> None:
        load = self.plan.scenario.load
        route = self.arm.route()
        self._control(
            {
                "do": "begin",
                "trial": self.trial.number,
                "seed": self.plan.seed,
                "repeat": self.trial.repeat,
                "route": {"kind": route.kind, "settings": route.settings},
                "start_over_s": 1.0,
                **load.settings,
            }
        )
        self.loading = True

    def _baseline(self) -> None:
        self._pause_s(self._baseline_s)
        self._until_right(self._at_start, self._return_limit_s, "baseline")

    def _aim(self) -> tuple[Beat | None, int]:
        """Read the beat that the strikes race against, and the instant of the planned phase of the first one."""
        first = self.trial.strikes[0]
        beat = next((b for b in (system.beat(self.stack) for system in self.arm.systems) if b is not None), None)
        now_ns = self.cluster.now_ns()
        soonest_ns = now_ns + int(0.3 * S)  # the look before each strike takes a few milliseconds
        if beat is None or beat.period_s <= 0:
            return None, soonest_ns
        period_ns = int(beat.period_s * S)
        offset_ns = (beat.at_ns + int(first.phase * period_ns) - soonest_ns) % period_ns
        return beat, soonest_ns + offset_ns

    def _strike(self, planned: PlannedStrike, beat: Beat | None, first_ns: int) -> None:
        due_ns = first_ns + int(planned.at_s * S)
        self._until_at(due_ns - int(0.2 * S))
        injection, effective = strike(
            planned.strike,
            planned.fault,
            site_of(self.stack, planned.target, self._struck),
            self.log,
            planned_phase=planned.phase,
            beat=beat,
            now_ns=self.cluster.now_ns,
            wait_for_due=lambda: self._until_at(due_ns),
        )
        self.injected.append((planned, injection))
        if effective:
            self.effective.add(planned)
        if planned.for_s is not None:
            self._until_at(injection.before_ns + int(planned.for_s * S))
            self.injected.remove((planned, injection))
            self.effective.discard(planned)
            self._heal_one(planned, injection)

    def _hold(self, flying: Sequence[Future[None]]) -> None:
        """Until every strike is done and every client has been right for a while, or the limit."""

        def struck() -> bool:
            self._check_stop()
            return all(future.done() for future in flying)

        wait_until(struck, timeout_s=self._hold_limit_s + 65.0, every_s=0.05, message="a strike did not end")
        for future in flying:
            future.result()
        self._until_right(self._while_struck, self._hold_limit_s, "hold")

    def _heal(self) -> None:
        """Heal every strike, all at once; runs also on the way out of a failure."""
        with ThreadPoolExecutor(max(1, len(self.injected))) as pool:
            healing = [pool.submit(self._heal_one, planned, injection) for planned, injection in self.injected]
            for future in healing:
                future.result()

    def _heal_one(self, planned: PlannedStrike, injection: Injection) -> None:
        site = site_of(self.stack, planned.target, self._struck)
        heal(planned.strike, planned.fault, site, injection, self.log, self.cluster.now_ns)

    def _settle(self) -> bool:
        return self._until_right(self._at_start, self._return_limit_s, "settle")

    def _all_stand(self) -> bool:
        """Whether every server that nothing struck still runs: beside one that fell, others look slow or lost."""
        never_ran = {node for node, role in self.arm.nodes if role == "backend"} - self._at_start
        fallen = [
            name
            for name, node in self.stack.nodes.items()
            if name not in self._struck | never_ran and not node.tell("processes")["processes"]
        ]
        for name in fallen:
            self.log.record("trial.error", text=f"the server of {name} is gone, though nothing struck it")
        return not fallen

    def _end(self) -> None:
        """Final reads and collect; what cannot be had any more is noted, never hides the first cause."""
        try:
            with self._phase("final", 10.0):
                if self.loading:
                    self._control({"do": "end"}, timeout_s=10.0)
        except NodeLost as error:
            self.log.record("trial.error", text=f"the load did not end: {error}")
        finally:
            with self._phase("collect", 10.0):
                self.log.close()
        self.cluster.collect(self.stack, self.folder)

    # -- what a phase waits for ----------------------------------------------------------------------------------

    def _until_right(self, expected: frozenset[str], limit_s: float, name: str) -> bool:
        """Wait until every client's view has been `expected` for a while; False when the limit came first."""
        clients = self._clients
        deadline_ns = self.cluster.now_ns() + int(limit_s * S)
        while True:
            self._check_stop()
            status = self._control({"do": "status"})
            now_ns = self.cluster.now_ns()
            right = [view for view in status["views"] if frozenset(view["nodes"]) == expected]
            count = sum(view["clients"] for view in right)
            since_ns = max((view["since_ns"] for view in right), default=now_ns)
            if count == clients and now_ns - since_ns >= RIGHT_FOR_S * S:
                return True
            if now_ns >= deadline_ns:
                return False
            gone = len(self._at_start - expected)
            detail = f"{gone} gone, " if gone else ""
            self._tell_phase(name, (deadline_ns - now_ns) / S, f"{detail}{count} of {clients} clients right")
            self.stop.wait(0.1)

    def _pause_s(self, seconds: float) -> None:
        self._until_at(self.cluster.now_ns() + int(seconds * S))

    def _until_at(self, t_ns: int) -> None:
        """Wait for an instant on the nodes' clock, to a fraction of a millisecond; a stop ends it early."""
        while (left_ns := t_ns - self.cluster.now_ns()) > 0:
            if self.stop.wait(min(left_ns / S, 0.5)):
                raise Stopped

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise Stopped

    def _control(self, message: Fields, timeout_s: float = 5.0) -> Fields:
        node = self.stack.role("clients")[0]
        answer = node.tell("ask", probe="control", message=message, timeout_s=timeout_s)
        if not answer.get("reached"):
            raise NodeLost(f"{node.name}: the load generator did not answer {message['do']!r}: {answer.get('why', '')}")
        told: Fields = answer["answer"]
        if not told.get("ok", False):
            raise NodeLost(f"{node.name}: the load generator refused {message['do']!r}: {told.get('error', told)}")
        return told

    @contextmanager
    def _phase(self, name: str, limit_s: float) -> Iterator[None]:
        self.log.record("phase", self.cluster.now_ns(), name=name, limit_s=round(limit_s, 3))
        self._tell_phase(name, limit_s, "")
        yield

    def _tell_phase(self, name: str, left_s: float, detail: str) -> None:
        about: dict[str, Any] = {"trial": self.trial.number, "arm": self.arm.name, "repeat": self.trial.repeat}
        self.progress({"what": "phase", "name": name, "left_s": left_s, "limit_s": left_s, "detail": detail, **about})

    # -- what the plan and the settings say ----------------------------------------------------------------------

    @property
    def _clients(self) -> int:
        return int(self.plan.scenario.load.settings["clients"])

    @property
    def _struck(self) -> frozenset[str]:
        return frozenset(planned.target for planned in self.trial.strikes)

    @property
    def _at_start(self) -> frozenset[str]:
        return frozenset(self.arm.alive_at_start)

    @property
    def _while_struck(self) -> frozenset[str]:
        dead = {planned.target for planned in self.effective if planned.fault.leaves == "dead"}
        alive = {planned.target for planned in self.effective if planned.fault.leaves == "alive"}
        backends = {node for node, role in self.arm.nodes if role == "backend"}
        return (self._at_start - dead) | (alive & backends)

    @property
    def _baseline_s(self) -> float:
        return baseline_s(self.arm)

    @property
    def _bounds(self) -> dict[str, Bounds]:
        # Where nothing is broken, what a crash would cost is still the time scale that the lab must be able to see.
        changes = {planned.fault.name for planned in self.trial.strikes} or {"crash"}
        changes |= {"return"}
        found = {change: self.arm.bounds(change) for change in sorted(changes)}
        return {change: bound for change, bound in found.items() if bound is not None}

    @property
    def _hold_limit_s(self) -> float:
        return hold_limit_s(self.plan.scenario, self.arm)

    @property
    def _return_limit_s(self) -> float:
        return settle_limit_s(self.plan.scenario, self.arm)


def _as_fields(bounds: Bounds) -> Fields:
    return {
        "low_s": bounds.low_s,
        "high_s": bounds.high_s,
        "phases": [
            {"name": phase.name, "low_s": phase.low_s, "high_s": phase.high_s, "moved_by": phase.moved_by}
            for phase in bounds.phases
        ],
    }
