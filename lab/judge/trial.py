"""One trial: run every checker over its history and put what they say into one value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from statistics import fmean
from typing import Any

from lab.checkers import harm, quiet, staleness, validity
from lab.checkers.truth import Change, Truth, truth_of
from lab.history import Event, History
from lab.result import ChangeResult, TrialResult
from lab.verdict import Sample, Valid, Verdict

Check = Callable[[History], Verdict]

CHECKERS: Mapping[str, Check] = {
    validity.NAME: validity.check,
    staleness.NAME: staleness.check,
    harm.NAME: harm.check,
    quiet.NAME: quiet.check,
}
S = 1_000_000_000


def judge_trial(history: History, checkers: Mapping[str, Check] = CHECKERS) -> TrialResult:
    """Judge one trial. It is valid when `validity` says so and no checker crashed; a crash is a reason that names it.

    A history without a plan gives trial 0 of arm "", unknown.
    """
    verdicts = {name: _safely(name, check, history) for name, check in checkers.items()}
    crashed = [verdict for verdict in verdicts.values() if "crashed" in verdict.figures]
    reasons = [
        *(reason for name, verdict in verdicts.items() if name == validity.NAME for reason in verdict.reasons),
        *(reason for verdict in crashed if verdict.checker != validity.NAME for reason in verdict.reasons),
    ]
    samples = [sample for verdict in verdicts.values() for sample in verdict.samples]
    plan = history.plan
    result = TrialResult(
        trial=int(plan.get("trial", 0)),
        arm=str(plan.get("arm", "")),
        repeat=int(plan.get("repeat", 0)),
        valid=str(Valid.UNKNOWN if reasons else Valid.YES),
        reasons=reasons,
        samples=[{**asdict(sample), "evidence": [list(ref) for ref in sample.evidence]} for sample in samples],
        means={name: mean_of(of) for name, of in _by_measure(samples).items()},
        curves={name: curve(of) for name, of in _by_measure(samples).items() if of[0].client is not None},
    )
    for verdict in verdicts.values():
        result.figures |= {key: value for key, value in verdict.figures.items() if key != "crashed"}
    result.figures["checkers"] = {name: str(verdict.valid) for name, verdict in verdicts.items()}
    if not crashed:
        truth = truth_of(history)
        result.changes = _changes(history, truth, samples)
        for name, start, end in truth.phases:
            result.phases_s[name] = [_s(start - truth.t0_ns), _s(end - truth.t0_ns)]
            result.seconds[name] = _s(end - start)
    return result


def mean_of(samples: list[Sample]) -> float:
    """A trial's mean: of its changes' means, so that a change with fewer clients counts no less."""
    by_change: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        by_change[sample.change].append(sample.value)
    return fmean(fmean(values) for values in by_change.values())


def curve(samples: list[Sample]) -> list[list[float]]:
    """[[seconds since the change, share of (client, change) pairs right from then on], ...]; censored: never."""
    steps: list[list[float]] = [[0.0, 0.0]]
    for right, value in enumerate(sorted(sample.value for sample in samples if not sample.censored), 1):
        share = right / len(samples)
        if value == steps[-1][0]:
            steps[-1][1] = share
        else:
            steps.append([value, share])
    return steps


def _safely(name: str, check: Check, history: History) -> Verdict:
    """A checker that crashes knows nothing; the others still speak."""
    try:
        return check(history)
    except Exception as error:
        trace, where = error.__traceback__, ""
        while trace is not None:
            where = f"{trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"
            trace = trace.tb_next
        reason = f"the checker {name} crashed: {type(error).__name__}: {error} (in {where})"
        return Verdict(name, Valid.UNKNOWN, (reason,), (), {"crashed": True})


def _by_measure(samples: list[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.measure].append(sample)
    return found


def _changes(history: History, truth: Truth, samples: list[Sample]) -> list[ChangeResult]:
    phases = {event.fields["strike"]: event.fields for event in history.of("strike.phase")}
    commanded = _by_strike(history, "fault.commanded")
    effective = _by_strike(history, "fault.effective")
    healed = _by_strike(history, "fault.healed")
    of_change: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        of_change[sample.change].append(sample)

    def since_t0(event: Event | None) -> float | None:
        if event is None:
            return None
        after_ns, before_ns = event.fields.get("after_ns", event.t_ns), event.fields.get("before_ns", event.t_ns)
        return _s((after_ns + before_ns) // 2 - truth.t0_ns)

    def one(change: Change) -> ChangeResult:
        struck = change.strike if change.what != "return" else None
        phase = phases.get(struck, {})
        bound = truth.bound(change)
        return ChangeResult(
            change=change.key,
            kind=change.kind,
            node=change.node,
            at_s=_s(change.instant_ns - truth.t0_ns),
            width_s=change.width_s,
            commanded_s=since_t0(commanded.get(struck)),
            effective_s=since_t0(effective.get(struck)),
            healed_s=since_t0(healed.get(struck)),
            phase_planned=phase.get("planned"),
            phase_achieved=phase.get("achieved"),
            bound_low_s=bound.get("low_s"),
            bound_high_s=bound.get("high_s"),
            values={name: _values(of) for name, of in _by_measure(of_change[change.key]).items()},
        )

    return [one(change) for change in truth.changes]


def _by_strike(history: History, kind: str) -> dict[int | None, Event]:
    return {event.fields["strike"]: event for event in history.of(kind)}


def _values(samples: list[Sample]) -> dict[str, Any]:
    values = [sample.value for sample in samples]
    return {
        "mean": fmean(values),
        "worst": max(values),
        "n": len(values),
        "censored": sum(sample.censored for sample in samples),
    }


def _s(ns: int) -> float:
    return ns / S
