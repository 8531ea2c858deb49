"""One objective, answered: yes, no or unknown, and the sentence that says why.

Every reduction becomes a range in which the truth lies, relative to its limit. Wholly on the right side of it is yes,
wholly on the wrong side is no, anything else is unknown. What was still going on when its window closed has no upper
end; a change's width moves the lower one; too few trials leave both open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean, median
from typing import Protocol

from lab.judge.arms import Seen, blame, covered, seen_in
from lab.judge.counted import COUNTED, counted, nothing
from lab.judge.words import limit, many, quantity, short
from lab.measures import Measure, false_removals, outage_s, wrong_view_s
from lab.result import ArmResult, ObjectiveResult, TrialResult
from lab.statistics import BOOTSTRAP_LEAST, LEAST, bootstrap_interval, mean_interval, more_repeats
from lab.verdict import Valid

ENOUGH = 0.5
"""A yes needs more than this share of an arm's planned trials to count; a no needs one."""


class Asked(Protocol):
    """An objective, as far as an answer needs it. `right` is a number, or something that `is_bound`."""

    @property
    def reduction(self) -> str: ...
    @property
    def measure(self) -> Measure: ...
    @property
    def operator(self) -> str: ...
    @property
    def right(self) -> object: ...
    @property
    def arm(self) -> str: ...
    @property
    def first(self) -> str: ...
    @property
    def second(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Range:
    """Where the truth lies, relative to a limit."""

    low: float
    high: float

    def compare(self, operator: str) -> Valid:
        """Whether all of it, none of it or some of it satisfies `truth - limit OPERATOR 0`."""
        if operator in (">", ">="):
            return Range(-self.high, -self.low).compare(operator.replace(">", "<"))
        reached = self.high < 0 or (operator == "<=" and self.high == 0)
        missed = self.low > 0 or (operator == "<" and self.low == 0)
        return Valid.YES if reached else Valid.NO if missed else Valid.UNKNOWN


def is_bound(asked: Asked) -> bool:
    """Whether the right side is what the settings promise."""
    return bool(getattr(asked.right, "is_bound", False))


def number(asked: Asked) -> float:
    """The right side as a number. Raises TypeError when it is the bound."""
    if isinstance(asked.right, int | float):
        return float(asked.right)
    raise TypeError(f"{asked.right} is not a number")


def answer(
    asked: Asked,
    arm: ArmResult,
    valid: Sequence[TrialResult],
    trials: Sequence[TrialResult],
    repeats: int,
    expected: str = "yes",
) -> ObjectiveResult:
    """Answer an objective about one arm from its valid trials; `trials` are the whole run's, for why some are not."""

    def said(value: Valid, sentence: str, of: Sequence[Seen] = ()) -> ObjectiveResult:
        evidence = [cited for sample in of for cited in sample.cited]
        return ObjectiveResult(str(asked), arm.arm, str(value), sentence, expected, evidence)

    if not valid:
        return said(Valid.UNKNOWN, _no_trial(arm.arm, trials))
    of = [seen_in(trial, asked.measure.name) for trial in valid]
    everything = [sample for seen in of for sample in seen]
    if not everything:
        return said(
            Valid.UNKNOWN,
            f"{arm.arm}: nothing was measured in {many(len(valid), 'valid trial')}: {_nothing(asked.measure)}",
        )
    unbounded = [sample for sample in everything if sample.bound_s is None]
    if is_bound(asked) and unbounded:
        return said(Valid.UNKNOWN, f"{arm.arm}: the settings promise nothing for {unbounded[0].where}", unbounded[:1])
    found = REDUCTIONS[asked.reduction](asked, arm, [seen for seen in of if seen])
    value = found.compare(asked.operator)
    # A sum grows with every trial: a total of some, below a limit that all may use up together, is not that of all.
    partly = asked.reduction == "total" and asked.operator in ("<", "<=") and number(asked) > 0
    measured = [trial for trial, seen in zip(valid, of, strict=True) if seen]
    short_of = len(measured) < repeats if partly else len(measured) <= ENOUGH * repeats
    cited = _cited(asked, arm, everything, value)
    sentence = _sentence(asked, arm, measured, everything, cited, value)
    if value is Valid.YES and short_of:
        why = _no_trial(arm.arm, trials)
        if len(measured) < len(valid):
            unmeasured = f"in {len(valid) - len(measured)} of {many(len(valid), 'valid trial')} nothing was measured"
            why = f"{arm.arm}: {unmeasured}: {_nothing(asked.measure)}"
        return said(Valid.UNKNOWN, f"only {len(measured)} of {repeats} trials count, too few for a yes; {why}", cited)
    return said(value, sentence, cited)


def _worst(asked: Asked, arm: ArmResult, of: Sequence[Sequence[Seen]]) -> Range:
    ranges = [_range(asked, arm, sample) for seen in of for sample in seen]
    return Range(max(one.low for one in ranges), max(one.high for one in ranges))


def _total(asked: Asked, arm: ArmResult, of: Sequence[Sequence[Seen]]) -> Range:
    everything = [sample for seen in of for sample in seen]
    low = sum(sample.value for sample in everything)
    high = inf if any(sample.censored for sample in everything) else low
    right = _limit(asked, arm, everything[0])
    return Range(low - right, high - right)


def _mean(asked: Asked, arm: ArmResult, of: Sequence[Sequence[Seen]]) -> Range:
    return _over_trials(asked, arm, of, fmean)


def _median(asked: Asked, arm: ArmResult, of: Sequence[Sequence[Seen]]) -> Range:
    return _over_trials(asked, arm, of, median)


REDUCTIONS: Mapping[str, Callable[[Asked, ArmResult, Sequence[Sequence[Seen]]], Range]] = {
    "worst": _worst,
    "total": _total,
    "mean": _mean,
    "median": _median,
}


def _over_trials(
    asked: Asked, arm: ArmResult, of: Sequence[Sequence[Seen]], reduce: Callable[[Sequence[float]], float]
) -> Range:
    """The interval of the trials' figures: Student's, for medians from 8 trials on the studentised bootstrap's.

    Below 3 trials there is none: then only all trials together can refute.
    """
    low = [_per_change(asked, arm, seen, reduce, censored_as=None) for seen in of]
    high = [_per_change(asked, arm, seen, reduce, censored_as=inf) for seen in of]
    if len(of) < LEAST:
        downward = asked.operator in ("<", "<=")
        return Range(min(low), inf) if downward else Range(-inf, max(high))
    interval = bootstrap_interval(low) if reduce is median and len(of) >= BOOTSTRAP_LEAST else mean_interval(low)
    if interval.low is None or interval.high is None:
        return Range(-inf, inf)
    return Range(interval.low, inf if inf in high else interval.high)


def _per_change(
    asked: Asked,
    arm: ArmResult,
    seen: Sequence[Seen],
    reduce: Callable[[Sequence[float]], float],
    censored_as: float | None,
) -> float:
    """A trial's figure relative to the limit; the mean is that of its changes' means, as everywhere."""

    def value(sample: Seen) -> float:
        known = sample.value if not sample.censored or censored_as is None else censored_as
        return known - _limit(asked, arm, sample)

    if reduce is median:
        return reduce([value(sample) for sample in seen])
    groups: dict[str, list[float]] = {}
    for sample in seen:
        groups.setdefault(sample.change.change if sample.change else "", []).append(value(sample))
    return reduce([fmean(values) for values in groups.values()])


def _range(asked: Asked, arm: ArmResult, sample: Seen) -> Range:
    """Of one value: it is good to half its width. The allowance of a bound already covers the upper half."""
    away = sample.value - _limit(asked, arm, sample)
    half = sample.width_s / 2
    high = inf if sample.censored else away if is_bound(asked) else away + half
    return Range(away - half, high)


def _limit(asked: Asked, arm: ArmResult, sample: Seen) -> float:
    if not is_bound(asked):
        return number(asked)
    return (sample.bound_s or 0.0) + arm.allowance_s


def _cited(asked: Asked, arm: ArmResult, everything: Sequence[Seen], value: Valid) -> list[Seen]:
    """The sample that decides: the farthest beyond its limit; a censored one first where it leaves the answer open."""
    upward = asked.operator in (">", ">=") and asked.reduction != "worst"
    sign = -1 if upward else 1

    def rank(sample: Seen) -> tuple[bool, float]:
        return (value is Valid.UNKNOWN and sample.censored, sign * (sample.value - _limit(asked, arm, sample)))

    return [max(everything, key=rank)]


def _sentence(
    asked: Asked,
    arm: ArmResult,
    valid: Sequence[TrialResult],
    everything: Sequence[Seen],
    cited: Sequence[Seen],
    value: Valid,
) -> str:
    unit, name = asked.measure.unit, short(asked.measure.name)
    if asked.measure in (false_removals, wrong_view_s):
        return f"{arm.arm}: {_over_exposure(asked, valid, everything)}"
    if asked.measure in COUNTED and asked.reduction in ("total", "worst"):
        size, why = counted(asked.measure, valid, everything), cited[0].why
        asked_for = "" if value is Valid.YES else f", asked was {asked.reduction} {asked.operator} {number(asked):g}"
        return f"{arm.arm}: {size}{asked_for}" + (f". {why}" if why and value is not Valid.YES else "")
    if asked.reduction in ("mean", "median"):
        return f"{arm.arm}: {_over_trials_said(asked, arm, valid, value)}"
    if asked.reduction == "total":
        total = sum(sample.value for sample in everything)
        more = "at least " if any(sample.censored for sample in everything) else ""
        return (
            f"{arm.arm}: {more}{quantity(total, unit)} in {many(len(valid), 'trial')}, asked was "
            f"{asked.operator} {number(asked):g}"
        )
    worst = cited[0]
    size = f">= {quantity(worst.value, unit)}" if worst.censored else quantity(worst.value, unit)
    against = limit(worst.bound_s or 0.0, arm.allowance_s) if is_bound(asked) else f"{number(asked):g}"
    if value is Valid.YES:
        seen = {(s.trial, s.change.change) for s in everything if s.change}
        watched = many(len(seen), "change") if seen else many(len(valid), "trial")
        of_beat = covered(valid, asked.measure.name)
        phases = f", phases covered {of_beat}" if of_beat else ""
        return f"{arm.arm}: worst seen in {watched} is {size} ({worst.where}){phases}; {against}"
    if value is Valid.UNKNOWN and worst.censored:
        return (
            f"{arm.arm}: still {name} {size} when watched last ({worst.where}); that is not beyond {against}, "
            "but nobody saw its end: hold longer"
        )
    if value is Valid.UNKNOWN:
        return (
            f"{arm.arm}: {size} ({worst.where}) is good to {worst.width_s / 2:.3f} s only, "
            f"which cannot be told from {against}"
        )
    beyond = [sample for sample in everything if _range(asked, arm, sample).compare(asked.operator) is Valid.NO]
    what, moved_by = blame(worst, arm.bounds) if is_bound(asked) else ("", "")
    share = f" ({len(beyond)} of {many(len(everything), 'sample')})" if len(everything) > 1 else ""
    because = "".join((f". {what[0].upper()}{what[1:]}" if what else "", f"; moved by {moved_by}" if moved_by else ""))
    lasted = f"{name} for {size}" if asked.measure is outage_s else f"{name} {size}"
    return f"{arm.arm}: {lasted} ({worst.where}), beyond {against}{share}{because}" + (
        f". {worst.why}" if worst.why else ""
    )


def _over_exposure(asked: Asked, valid: Sequence[TrialResult], everything: Sequence[Seen]) -> str:
    """Of what should not happen: how much of it, in how much watching."""
    key = "exposure_client_s" if asked.measure is wrong_view_s else "watched_client_s"
    exposure_s = sum(float(trial.figures.get(key) or 0.0) for trial in valid)
    found = sum(sample.value for sample in everything)
    where = f" ({max(everything, key=lambda sample: sample.value).where})" if found else ""
    words = short(asked.measure.name)
    size = f"{found:.3f} client-seconds of {words}" if asked.measure is wrong_view_s else f"{found:.0f} {words}"
    return f"{size} in {exposure_s:.1f} client-seconds{where}"


def _over_trials_said(asked: Asked, arm: ArmResult, valid: Sequence[TrialResult], value: Valid) -> str:
    unit = asked.measure.unit
    reduce = median if asked.reduction == "median" else None
    values = [
        reduce([sample.value for sample in seen_in(trial, asked.measure.name)])
        if reduce
        else trial.means[asked.measure.name]
        for trial in valid
        if asked.measure.name in trial.means
    ]
    right = "bound()" if is_bound(asked) else f"{number(asked):g}"
    text = (
        f"{asked.reduction} of {many(len(values), 'trial')} "
        f"{quantity(median(values) if reduce else fmean(values), unit)}, asked was {asked.operator} {right}"
    )
    if value is not Valid.UNKNOWN:
        return text
    if len(values) < LEAST:
        return f"{text}; there is no interval below {LEAST} trials: run it with --repeats {LEAST} or more"
    estimate = arm.measures.get(asked.measure.name)
    if estimate is not None and estimate.censored:
        return f"{text}; {estimate.censored} of its samples were still going on when watched last"
    more = None if is_bound(asked) else more_repeats(values, number(asked))
    settled = f"about {more} more repeats would settle it" if more else "more repeats will hardly settle it"
    return f"{text}; its interval reaches across that: {settled}"


def _no_trial(arm: str, trials: Sequence[TrialResult]) -> str:
    own = [trial for trial in trials if trial.arm == arm]
    if not own:
        return f"{arm}: no trial was finished"
    broken = [trial for trial in own if trial.valid != Valid.YES]
    why = "; ".join(broken[0].reasons) if broken else "no reason was given"
    count = f"{len(own) - len(broken)} of {many(len(own), 'trial')} valid"
    return f"{arm}: {count}. Trial {broken[0].trial}: {why}" if broken else f"{arm}: {count}"


def _nothing(measure: Measure) -> str:
    if measure in (false_removals, wrong_view_s):
        return "zero client-seconds were watched"
    return nothing(measure) or f"no {measure.per} that could be watched"
