"""Judged trials and runs whose figures are known, for the tests of the judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lab import Strike, one
from lab.faults import Crash
from lab.judge import judge_trial, summarise
from lab.plan import make_plan
from lab.result import Result, TrialResult
from lab.testing import Tale
from tests.stand_in import scenario

NAMES_BOUND = {
    "low_s": 1.0,
    "high_s": 8.0,
    "phases": [
        {"name": "detection", "low_s": 1.0, "high_s": 2.0, "moved_by": "check_interval_s (1)"},
        {"name": "client cache", "low_s": 0.0, "high_s": 6.0, "moved_by": "ttl_s (5)"},
    ],
}


def trial_of(
    arm: str,
    repeat: int,
    late_s: Sequence[float | None],
    *,
    number: int = 0,
    width_s: float = 0.0,
    phase: float = 0.5,
    detected_s: float = 1.5,
    spoil: Callable[[Tale], object] | None = None,
) -> TrialResult:
    """A judged trial of one crash in which client i was right again late_s[i] seconds later (None: never)."""
    bounds = {"crash": NAMES_BOUND, "return": {**NAMES_BOUND, "low_s": 0.0}}
    order = number or 2 * repeat - (arm == "slow")
    tale = Tale(arm=arm, trial=order, repeat=repeat, clients=len(late_s), bounds=bounds, rate_per_s=5.0)
    tale.strike("crash", "backend2", 6.0, width_s=width_s, phase=phase)
    tale.registry("detected", "backend2", 6.0 + detected_s)
    for client, late in enumerate(late_s, 1):
        if late is not None:
            tale.view(client, 6.0 + late, removed=["backend2"])
    if spoil is not None:
        spoil(tale)
    return judge_trial(tale.history())


def run_of(slow: Sequence[TrialResult], quick: Sequence[TrialResult] = (), **changed: object) -> Result:
    """The run of those trials; arms without trials are not run."""
    arms = [name for name, trials in (("slow", slow), ("quick", quick)) if trials]
    repeats = max(len(slow), len(quick))
    strikes = [Strike(Crash(), target=one("backend"))]
    plan = make_plan(scenario(**{"repeats": repeats, "strikes": strikes, **changed}), 7, arms, name="tale")
    by_key = {(trial.arm, trial.repeat): trial.number for trial in plan.trials}
    for trial in (*slow, *quick):
        trial.trial = by_key.get((trial.arm, trial.repeat), trial.trial) if trial.trial < 90 else trial.trial
    return summarise(plan, [*slow, *quick], {"reproduce": "lab run tale --seed 7"})
