"""A whole run: its arms, their differences, and an answer to every objective that was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from lab.judge.answers import answer
from lab.judge.arms import arm_result, valid_of
from lab.judge.compared import Comparison, asked_for, compare, correct
from lab.judge.outcomes import loss_results, route_results
from lab.judge.words import many
from lab.measures import VIEWS, lost_writes, outage_s
from lab.plan import Plan
from lab.protocols import Bounds, Fields
from lab.result import ArmResult, Difference, ObjectiveResult, Result, TrialResult
from lab.verdict import Valid, worst

_EXCLUDED = ("excluded_wrong_at_baseline", "excluded_wrong_before_change", "excluded_closed")
COMPARED = (*VIEWS, outage_s, lost_writes)
"""What two arms are compared in without being asked."""
EXIT_CODES = {Valid.YES: 0, Valid.NO: 1, Valid.UNKNOWN: 2}


def summarise(plan: Plan, trials: Sequence[TrialResult], run: Fields) -> Result:
    """Judge a run from its judged trials. `run` may hold `versions`, `reproduce` and `notes`.

    A run that was cut short answers no where a trial refutes, and unknown otherwise.
    """
    objectives = plan.objectives
    valid = {arm.name: valid_of(trials, arm.name) for arm in plan.arms}
    asked = [objective.measure.name for objective in objectives]
    arms = [arm_result(arm.name, trials, _bounds(plan, arm.name), arm.settings, asked) for arm in plan.arms]
    by_name = {arm.arm: arm for arm in arms}
    comparisons = {objective: asked_for(objective, valid) for objective in objectives if objective.first}
    correct(list(comparisons.values()))
    answers: list[ObjectiveResult] = []
    for objective in objectives:
        expected = plan.scenario.expects.get(objective, "yes")
        if objective.first:
            answers.append(comparisons[objective].answer(objective, expected))
            continue
        for name in [objective.arm] if objective.arm else by_name:
            answers.append(answer(objective, by_name[name], valid[name], trials, plan.repeats, expected))
    finished = {trial.trial for trial in trials}
    partial = any(trial.number not in finished for trial in plan.trials)
    overall = worst(Valid(item.answer) for item in answers)
    if partial and overall is Valid.YES:
        overall = Valid.UNKNOWN
    lags_ms = [lag for trial in trials if (lag := trial.figures.get("lab_lag_p99_ms")) is not None]
    return Result(
        scenario=plan.name,
        claim=plan.claim,
        seed=plan.seed,
        repeats=plan.repeats,
        answer=str(overall),
        sentence=_sentence(overall, answers, len(plan.trials), len(finished), partial),
        exit_code=EXIT_CODES[overall],
        arms=arms,
        differences=_differences(comparisons.values(), arms, valid),
        objectives=answers,
        trials=list(trials),
        planned_trials=len(plan.trials),
        valid_trials=sum(trial.valid == Valid.YES for trial in trials),
        lab_lag_p99_ms=max(lags_ms, default=None),
        partial=partial,
        demonstration=bool(plan.scenario.demonstration or plan.scenario.expects),
        reproduce=str(run.get("reproduce", "")),
        versions=dict(run.get("versions") or {}),
        routes=[one for arm in arms for one in route_results(arm, valid[arm.arm])],
        losses=[one for arm in arms for one in loss_results(arm, valid[arm.arm])],
        notes=[*(run.get("notes") or []), *_not_asked(plan), *_not_watched(arms, valid), *_stood_in(trials, valid)],
    )


def _bounds(plan: Plan, name: str) -> Mapping[str, Mapping[str, Any]]:
    """By change; of writes by change and route: "crash@multi_host"."""
    arm = plan.arm(name)
    if plan.scenario.kind == "writes":
        return {
            f"{change}@{route}" if route else change: _as_fields(bounds)
            for change in plan.scenario.changes
            for route, bounds in arm.promises(change).items()
        }
    found = {change: arm.bounds(change) for change in plan.scenario.changes}
    return {change: _as_fields(bounds) for change, bounds in found.items() if bounds is not None}


def _as_fields(bounds: Bounds) -> Fields:
    phases = [
        {"name": phase.name, "low_s": phase.low_s, "high_s": phase.high_s, "moved_by": phase.moved_by}
        for phase in bounds.phases
    ]
    return {"low_s": bounds.low_s, "high_s": bounds.high_s, "phases": phases}


def _differences(
    asked: Iterable[Comparison], arms: Sequence[ArmResult], valid: Mapping[str, Sequence[TrialResult]]
) -> list[Difference]:
    """What was asked, then what else changes came to in two arms; the latter are corrected among themselves."""
    first = list(asked)
    known = {(one.measure.name, frozenset((one.first, one.second))) for one in first}
    others: list[Comparison] = []
    for one, other in combinations(arms, 2):
        for measure in COMPARED:
            shared = measure.name in one.measures and measure.name in other.measures and measure.per != "trial"
            if shared and (measure.name, frozenset((one.arm, other.arm))) not in known:
                compared = compare(measure, other.arm, one.arm, valid)
                if compared.pairs:
                    others.append(compared)
    correct(others)
    return [one.result() for one in (*first, *others)]


def _sentence(overall: Valid, answers: Sequence[ObjectiveResult], planned: int, finished: int, partial: bool) -> str:
    of = {value: [item for item in answers if item.answer == value] for value in Valid}
    count = f"{len(of[Valid.YES])} of {many(len(answers), 'objective')}"
    if overall is Valid.NO:
        return f"The claim does not hold: {of[Valid.NO][0].sentence} ({count} hold)"
    if overall is Valid.YES:
        return f"The claim holds: {count}."
    if partial:
        cut = f"the run was cut short after {finished} of {many(planned, 'trial')}"
        return f"Unknown: {cut}" + (f"; {of[Valid.UNKNOWN][0].sentence}" if of[Valid.UNKNOWN] else "")
    if not answers:
        return "Unknown: no objective was asked of the arms that were run."
    return f"Unknown: {of[Valid.UNKNOWN][0].sentence} ({count} hold)"


def _not_watched(arms: Sequence[ArmResult], valid: Mapping[str, Sequence[TrialResult]]) -> Iterator[str]:
    """How many pairs of a client and a change are missing from the figures, because the client was wrong before it."""
    for arm in arms:
        of = valid[arm.arm]
        left_out = sum(int(trial.figures.get(name) or 0) for trial in of for name in _EXCLUDED)
        seen = sum(sample["client"] is not None for trial in of for sample in trial.samples)
        forgot = sum(int(trial.figures.get("forgot_everybody") or 0) for trial in of)
        if left_out:
            yield (
                f"{arm.arm}: {left_out} of {seen + left_out} pairs of a client and a change are left out: "
                "the client was wrong before the change"
            )
        if forgot:
            yield (
                f"{arm.arm}: {forgot} of {seen} times a client did not learn of a change but knew nobody any more; "
                "this counts as not over"
            )


def _stood_in(trials: Sequence[TrialResult], valid: Mapping[str, Sequence[TrialResult]]) -> Iterator[str]:
    """Trials that are valid and do not count, because another one of the same repeat does (a run judged again)."""
    counting = {(arm, trial.repeat): trial.trial for arm, of in valid.items() for trial in of}
    for trial in trials:
        other = counting.get((trial.arm, trial.repeat))
        if trial.valid == Valid.YES and other is not None and other != trial.trial:
            yield f"trial {trial.trial} ({trial.arm}, repeat {trial.repeat}) is valid, but trial {other} stands for it"


def _not_asked(plan: Plan) -> Iterator[str]:
    asked = set(plan.objectives)
    for objective in plan.scenario.objectives:
        if objective not in asked:
            yield f"not asked, because not all of its arms were run: {objective}"
