"""One trial: ready -> baseline -> strike ... hold -> heal -> settle -> final -> collect, recorded and not judged."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from lab.clock import S
from lab.errors import EngineLost, LabError, NodeLost
from lab.plan import Plan, PlannedStrike, Trial, baseline_s, hold_limit_s, settle_limit_s, spread_s
from lab.protocols import Beat, Bounds, Cluster, Fields, Injection, Progress, Stack
from lab.scenario import Arm
from lab.stage import Stage, Stopped, Watch
from lab.strike import heal, site_of, strike
from lab.wait import TimedOut, wait_until
from lab.watch_views import ViewsWatch
from lab.watch_writes import WritesWatch

READY_S = 60.0
"""How long a stack may take to become ready."""
FINAL_S = 45.0
"""How long ending the load, reading what is there and bringing members back may take."""


class TrialRun:
    """One trial and its phases."""

    def __init__(
        self,
        plan: Plan,
        trial: Trial,
        arm: Arm,
        stack: Stack,
        cluster: Cluster,
        folder: Path,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self.stage = Stage(plan, trial, arm, stack, cluster, folder, progress, stop)
        self.watch: Watch = WritesWatch(self.stage) if plan.scenario.kind == "writes" else ViewsWatch(self.stage)
        self.plan, self.trial, self.arm, self.stack, self.cluster = plan, trial, arm, stack, cluster
        self.log, self.progress, self.folder = self.stage.log, progress, folder

    # -- the phases, in order ------------------------------------------------------------------------------------

    def carry_out(self) -> bool:
        """Every phase in order; heals and collects whatever happens. True when the stack is fit for the next trial."""
        fit = False
        return_limit_s = settle_limit_s(self.plan.scenario, self.arm)
        try:
            self._record_plan()
            with self.stage.phase("ready", READY_S):
                self._reset()
                self._await_ready()
                self.watch.ready()
            with self.stage.phase("baseline", baseline_s(self.arm) + return_limit_s):
                self.watch.begin()
                self.watch.baseline()
            try:
                self._strike_and_hold()
            finally:
                with self.stage.phase("heal", 65.0):
                    self._heal()
            with self.stage.phase("settle", return_limit_s):
                right, whole = self.watch.settle(), self._all_stand()
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
        stage = self.stage
        if not self.trial.strikes:
            with stage.phase("hold", self.plan.scenario.quiet_s):
                stage.pause_s(self.plan.scenario.quiet_s)
            return
        self.watch.about_to_strike()
        span_s = max(planned.at_s for planned in self.trial.strikes)
        with stage.phase("strike", self.arm.beat_s + span_s + 5.0):
            beat, first_ns = self._aim()
            with ThreadPoolExecutor(len(self.trial.strikes)) as pool:
                flying = [pool.submit(self._strike, planned, beat, first_ns) for planned in self.trial.strikes]
                stage.until_at(first_ns + int(span_s * S))
                limit_s = hold_limit_s(self.plan.scenario, self.arm)
                with stage.phase("hold", limit_s + spread_s(self.arm, self.trial)):
                    self._await_strikes(flying, limit_s + 65.0)
                    self.watch.hold()

    # -- verbs ---------------------------------------------------------------------------------------------------

    def _reset(self) -> None:
        for system in self.arm.systems:
            system.reset(self.stack)

    def _await_ready(self) -> None:
        lacking: list[str] = []

        def ready() -> bool:
            self.stage.check_stop()
            lacking[:] = [text for system in self.arm.systems for text in system.lacking(self.stack)]
            if lacking:
                self.stage.tell_phase("ready", READY_S, lacking[0])
            return not lacking

        wait_until(ready, timeout_s=READY_S, every_s=0.05, message=lambda: "not ready: " + "; ".join(lacking))

    def _record_plan(self) -> None:
        trial = self.trial
        self.log.record(
            "plan",
            arm=self.arm.name,
            repeat=trial.repeat,
            trial=trial.number,
            scenario=self.plan.name,
            seed=self.plan.seed,
            nodes=[{"node": n.name, "role": n.role, "address": n.address} for n in self.stack.nodes.values()],
            settings=self.arm.settings,
            bounds=self._bounds,
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
            **self.watch.plan_fields,
        )

    def _aim(self) -> tuple[Beat | None, int]:
        """Read the beat that the strikes race against, and the instant of the planned phase of the first one."""
        first = self.trial.strikes[0]
        beat = next((b for b in (system.beat(self.stack) for system in self.arm.raced) if b is not None), None)
        now_ns = self.stage.now_ns()
        soonest_ns = now_ns + int(0.3 * S)  # the look before each strike takes a few milliseconds
        if beat is None or beat.period_s <= 0:
            return None, soonest_ns
        period_ns = int(beat.period_s * S)
        offset_ns = (beat.at_ns + int(first.phase * period_ns) - soonest_ns) % period_ns
        return beat, soonest_ns + offset_ns

    def _strike(self, planned: PlannedStrike, beat: Beat | None, first_ns: int) -> None:
        stage = self.stage
        due_ns = first_ns + int(planned.at_s * S)
        stage.until_at(due_ns - int(0.2 * S))
        target = stage.target(planned)
        injection, effective = strike(
            planned.strike,
            planned.fault,
            site_of(self.stack, target, stage.struck),
            self.log,
            planned_phase=planned.phase,
            beat=beat,
            now_ns=stage.now_ns,
            wait_for_due=lambda: stage.until_at(due_ns),
        )
        stage.injected.append((planned, injection))
        if effective:
            stage.effective.add(planned)
        if planned.for_s is not None:
            stage.until_at(injection.before_ns + int(planned.for_s * S))
            stage.injected.remove((planned, injection))
            stage.effective.discard(planned)
            self._heal_one(planned, injection)

    def _await_strikes(self, flying: Sequence[Future[None]], limit_s: float) -> None:
        def struck() -> bool:
            self.stage.check_stop()
            return all(future.done() for future in flying)

        wait_until(struck, timeout_s=limit_s, every_s=0.05, message="a strike did not end")
        for future in flying:
            future.result()

    def _heal(self) -> None:
        """Heal every strike, all at once; runs also on the way out of a failure."""
        try:
            self.watch.before_heal()
        finally:
            with ThreadPoolExecutor(max(1, len(self.stage.injected))) as pool:
                healing = [pool.submit(self._heal_one, *injected) for injected in self.stage.injected]
                for future in healing:
                    future.result()

    def _heal_one(self, planned: PlannedStrike, injection: Injection) -> None:
        site = site_of(self.stack, injection.node, self.stage.struck)
        heal(planned.strike, planned.fault, site, injection, self.log, self.stage.now_ns)

    def _all_stand(self) -> bool:
        """Whether every server that nothing struck still runs: beside one that fell, others look slow or lost."""
        never_ran = {node for node, role in self.arm.nodes if role == "backend"} - set(self.arm.alive_at_start)
        fallen = [
            name
            for name, node in self.stack.nodes.items()
            if name not in self.stage.struck | never_ran and not node.tell("processes")["processes"]
        ]
        for name in fallen:
            self.log.record("trial.error", text=f"the server of {name} is gone, though nothing struck it")
        return not fallen

    def _end(self) -> None:
        """Final reads and collect; what cannot be had any more is noted, never hides the first cause."""
        try:
            with self.stage.phase("final", FINAL_S):
                self.watch.end()
        except Stopped:
            pass  # it was told already
        except NodeLost as error:
            self.log.record("trial.error", text=f"the load did not end: {error}")
        finally:
            with self.stage.phase("collect", 10.0):
                self.log.close()
        self.cluster.collect(self.stack, self.folder)

    # -- what the settings promise -------------------------------------------------------------------------------

    @property
    def _bounds(self) -> Fields:
        """change -> its bounds; of writes: change -> route -> its bounds."""
        # Where nothing is broken, what a crash would cost is still the time scale that the lab must be able to see.
        changes = {planned.fault.name for planned in self.trial.strikes} or {"crash"}
        if self.plan.scenario.kind == "views":
            changes |= {"return"}
        found: Fields = {}
        for change in sorted(changes):
            mechanism, promises = self.arm.mechanism(change), self.arm.promises(change)
            if mechanism is None:
                continue
            if self.plan.scenario.kind == "views":
                found[change] = _as_fields(mechanism)
            else:
                # Under "": the systems' own, for a route that promises nothing has a time scale too.
                found[change] = {"": _as_fields(mechanism)} | {name: _as_fields(b) for name, b in promises.items()}
        return found


def _as_fields(bounds: Bounds) -> Fields:
    return {
        "low_s": bounds.low_s,
        "high_s": bounds.high_s,
        "mean_s": bounds.mean_s,
        "phases": [
            {
                "name": phase.name,
                "low_s": phase.low_s,
                "high_s": phase.high_s,
                "mean_s": phase.expected_s,
                "moved_by": phase.moved_by,
            }
            for phase in bounds.phases
        ],
    }
