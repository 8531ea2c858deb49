"""Trials about writes whose figures are known, for the tests of checkers and of the judge."""

from __future__ import annotations

from typing import Any

from lab import Arm, Scenario, SqlWriters, Strike, leader, total
from lab.faults import Crash
from lab.judge import judge_trial, summarise
from lab.measures import lost_writes
from lab.plan import make_plan
from lab.protocols import Fault
from lab.result import Result, TrialResult
from lab.routes import MultiHost
from lab.systems import Controller, Postgres
from lab.testing_writes import WritesTale, lsn_at

STRUCK_S = 6.0
HEALED_S = 20.0


def crashed(*, back_s: float = 7.2, fault: str = "crash", lost_s: float = 0.0, **settings: Any) -> WritesTale:
    """postgres1 is struck at 6 s and postgres2 promoted at 6.8 s; every route is served again from `back_s` on.

    What was due within `lost_s` before the strike is lost. It is healed at 20 s and streams again at 21 s.
    """
    tale = WritesTale(**settings)
    tale.strike(fault, "postgres1", STRUCK_S, width_s=0.002).fail(STRUCK_S, back_s, node=None)
    tale.failover("detected", 6.6, node="postgres1", checks=3)
    has = {"postgres2": lsn_at(STRUCK_S - lost_s), "postgres3": lsn_at(STRUCK_S - lost_s)}
    tale.failover("chosen", 6.61, node="postgres2", rule="most_advanced", candidates=has)
    tale.promote("postgres2", 6.8)
    tale.standby("postgres3", 6.9, "postgres2")
    if lost_s:
        for label in tale.labels:
            tale.lose(label, STRUCK_S - lost_s, STRUCK_S)
    tale.heal("postgres1", HEALED_S)
    if fault != "pause":
        tale.rows("postgres1", "boot", HEALED_S + 0.3, until_s=STRUCK_S)
    tale.standby("postgres1", HEALED_S + 1.0, "postgres2")
    return tale


def unfenced(*, seconds: float = 2.0, route: str = "", **settings: Any) -> WritesTale:
    """postgres1 is cut off from its standbys at 6 s and goes on acknowledging beside postgres2 (promoted at 7 s).

    Writes of `route` (of every one) that are due until `seconds` after the promotion go to the old primary, and are
    lost.
    """
    tale = WritesTale(**settings)
    tale.strike("partition", "postgres1", STRUCK_S, leaves="alive")
    tale.failover("detected", 6.9, node="postgres1", checks=3)
    tale.promote("postgres2", 7.0, serves=False)
    tale.standby("postgres3", 7.1, "postgres2")
    for label in tale.labels:
        until_s = 7.0 + seconds if route in ("", label) else 7.0
        tale.serve("postgres2", until_s, 2, route=label)
        tale.lose(label, STRUCK_S, until_s)
    tale.heal("postgres1", HEALED_S)
    tale.rows("postgres1", "before_heal", HEALED_S - 0.1)
    tale.standby("postgres1", HEALED_S + 1.0, "postgres2")
    return tale


def judged(tale: WritesTale, arm: str = "async", repeat: int = 1) -> TrialResult:
    """A judged trial of an arm."""
    tale.arm, tale.repeat, tale.trial = arm, repeat, 2 * repeat - (arm == "async")
    return judge_trial(tale.history())


def run_of_writes(*trials: TrialResult, strike: Fault | None = None, **changed: Any) -> Result:
    """The run of those trials, of arms async and sync; an arm without trials is not run."""
    arms = [arm for arm in ("async", "sync") if any(trial.arm == arm for trial in trials)]
    fields: dict[str, Any] = {
        "arms": [
            Arm("async", Postgres(standbys=2), Controller(), routes=[MultiHost()]),
            Arm("sync", Postgres(standbys=2, replication="sync"), Controller(), routes=[MultiHost()]),
        ],
        "load": SqlWriters(rate_per_s=100),
        "strikes": [Strike(strike or Crash(), target=leader("postgres"))],
        "objectives": [total(lost_writes) <= 0],
        "repeats": max(trial.repeat for trial in trials),
    }
    plan = make_plan(Scenario(**{**fields, **changed}), 7, arms, name="tale")
    by_key = {(trial.arm, trial.repeat): trial.number for trial in plan.trials}
    for trial in trials:
        trial.trial = by_key[trial.arm, trial.repeat]
    return summarise(plan, trials, {"reproduce": "lab run tale --seed 7"})
