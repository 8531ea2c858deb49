"""One trial: run every checker over its history and put what they say into one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from lab.checkers import accounts, harm, outage, quiet, rejoin, split_brain, staleness, validity, write_validity
from lab.checkers.truth import Change, Truth, truth_of
from lab.history import Event, History
from lab.judge.samples import by_change, by_measure, curve, mean_of, values_of
from lab.judge.writes import tell
from lab.result import ChangeResult, TrialResult
from lab.verdict import Sample, Valid, Verdict

Check = Callable[[History], Verdict]

CHECKERS: Mapping[str, Check] = {
    validity.NAME: validity.check,
    staleness.NAME: staleness.check,
    harm.NAME: harm.check,
    quiet.NAME: quiet.check,
}
CHECKERS_OF_WRITES: Mapping[str, Check] = {
    validity.NAME: write_validity.check,
    outage.NAME: outage.check,
    accounts.NAME: accounts.check,
    split_brain.NAME: split_brain.check,
    rejoin.NAME: rejoin.check,
}
S = 1_000_000_000


def judge_trial(history: History, checkers: Mapping[str, Check] | None = None) -> TrialResult:
    """Judge one trial by the checkers of its kind, or by those given. It is valid when `validity` says so and no
    checker crashed; a crash is a reason that names it.

    A history without a plan gives trial 0 of arm "", unknown.
    """
    of_writes = history.plan.get("about") == "writes"
    if checkers is None:
        checkers = CHECKERS_OF_WRITES if of_writes else CHECKERS
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
        means={name: mean_of(of) for name, of in by_measure(samples).items()},
        curves={name: curve(of) for name, of in by_measure(samples).items() if of[0].client is not None},
    )
    for verdict in verdicts.values():
        result.figures |= {key: value for key, value in verdict.figures.items() if key != "crashed"}
    result.figures["checkers"] = {name: str(verdict.valid) for name, verdict in verdicts.items()}
    if not crashed and of_writes:
        told = _safely("story", lambda its: _tell(its, result, samples), history)
        if told.reasons:
            result.valid, result.reasons = str(Valid.UNKNOWN), [*reasons, *told.reasons]
    elif not crashed:
        truth = truth_of(history)
        result.changes = _changes(history, truth, samples)
        _count_from(result, truth, truth.t0_ns)
    return result


def _tell(history: History, result: TrialResult, samples: list[Sample]) -> Verdict:
    """What a trial about writes comes to beside its samples."""
    told = tell(history, samples)
    result.changes, result.waterfalls, result.accounts = told.changes, told.waterfalls, told.accounts
    result.lanes, result.sentences = told.lanes, told.sentences
    _count_from(result, told.database.truth, told.database.t0_ns)
    return Verdict("story", Valid.YES)


def _count_from(result: TrialResult, truth: Truth, t0_ns: int) -> None:
    """The engine's phases, in seconds since t0."""
    for name, start, end in truth.phases:
        result.phases_s[name] = [_s(start - t0_ns), _s(end - t0_ns)]
        result.seconds[name] = _s(end - start)


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


def _changes(history: History, truth: Truth, samples: list[Sample]) -> list[ChangeResult]:
    phases = {event.fields["strike"]: event.fields for event in history.of("strike.phase")}
    commanded = _by_strike(history, "fault.commanded")
    effective = _by_strike(history, "fault.effective")
    healed = _by_strike(history, "fault.healed")
    of_change = by_change(samples)

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
            values=values_of(of_change.get(change.key, [])),
        )

    return [one(change) for change in truth.changes]


def _by_strike(history: History, kind: str) -> dict[int | None, Event]:
    return {event.fields["strike"]: event for event in history.of(kind)}


def _s(ns: int) -> float:
    return ns / S
