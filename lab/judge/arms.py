"""One arm over its valid trials: means with their intervals, where they go, and what lies outside its bound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lab.judge.words import and_more, limit, quantity, short
from lab.measures import ALL, BY_NAME, Measure, dead_but_listed_s, outage_s
from lab.result import ArmResult, ChangeResult, Estimate, PhaseMean, TrialResult
from lab.statistics import LEAST, mean_interval
from lab.verdict import Valid

ALLOWANCE_S = 0.1
LAGS = 3.0
"""The allowance is this many times the lab's own lag, and at least the above."""
SENTENCES = 10
UNSPLIT = "not split"
"""The part of a mean whose milestones are missing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One sample, where it was seen, and the change it belongs to (None: it is of the whole trial)."""

    trial: int
    measure: str
    change: ChangeResult | None
    client: int | None
    value: float
    censored: bool
    width_s: float
    phases: Mapping[str, float]
    evidence: tuple[tuple[str, int], ...]
    route: str = ""
    why: str = ""

    @property
    def where(self) -> str:
        """ "trial 3, crash of backend5, client 12"; "trial 3, power loss of postgres1, multi_host"."""
        parts = [f"trial {self.trial}"]
        if self.change is not None:
            parts.append(f"{self.change.kind} of {self.change.node}")
        if self.client is not None:
            parts.append(f"client {self.client}")
        if self.route:
            parts.append(self.route)
        return ", ".join(parts)

    @property
    def node(self) -> str:
        return "" if self.change is None else self.change.node

    @property
    def cited(self) -> list[list[Any]]:
        return [[self.trial, *ref] for ref in self.evidence]

    @property
    def bound_s(self) -> float | None:
        return None if self.change is None else self.change.bound_high_s

    def excess_s(self, allowance_s: float) -> float | None:
        """By how much it is certainly above its bound (negative: it is not); None where nothing bounds it."""
        return None if self.bound_s is None else self.value - self.width_s / 2 - self.bound_s - allowance_s

    def lack_s(self, allowance_s: float) -> float | None:
        """By how much it is certainly below the least its settings allow."""
        low_s = None if self.change is None else self.change.bound_low_s
        return None if low_s is None or self.censored else low_s - allowance_s - self.value - self.width_s / 2


def valid_of(trials: Sequence[TrialResult], arm: str) -> list[TrialResult]:
    """The arm's trials that count, by repeat; of two of one repeat the later one."""
    found = {
        trial.repeat: trial
        for trial in sorted(trials, key=lambda trial: trial.trial)
        if trial.arm == arm and trial.valid == Valid.YES
    }
    return [found[repeat] for repeat in sorted(found)]


def seen_in(trial: TrialResult, measure: str) -> list[Seen]:
    """A trial's samples of one measure."""
    changes = {change.change: change for change in trial.changes}
    return [
        Seen(
            trial.trial,
            measure,
            changes.get(item["change"]),
            item["client"],
            item["value"],
            item["censored"],
            item["width_s"],
            item["phases"],
            tuple((ref[0], ref[1]) for ref in item["evidence"]),
            item.get("route", ""),
            item.get("why", ""),
        )
        for item in trial.samples
        if item["measure"] == measure
    ]


def arm_result(
    arm: str,
    trials: Sequence[TrialResult],
    bounds: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    asked: Sequence[str] = (),
) -> ArmResult:
    """Everything about one arm. `bounds`: change -> low_s, high_s, phases; `asked`: measures to show even if empty."""
    valid = valid_of(trials, arm)
    result = ArmResult(arm, sum(trial.arm == arm for trial in trials), len(valid))
    result.bounds = {change: dict(bound) for change, bound in bounds.items()}
    result.settings = dict(settings)
    result.allowance_s = allowance_of(valid)
    result.phases_covered = covered(valid)
    for measure in ALL:
        estimate = estimate_of(measure, valid)
        if estimate.samples or measure.name in asked:
            result.measures[measure.name] = estimate
        if estimate.samples and measure.unit == "s":
            phases = phase_means(measure, valid, result.bounds)
            if phases:
                result.phases[measure.name] = phases
                result.most = result.most or _most(phases)
    result.outside = and_more(list(_outside(result, valid)), SENTENCES)
    return result


def allowance_of(valid: Sequence[TrialResult]) -> float:
    """max(0.1 s, 3 x the worst p99 of the lab's own lag in any trial that counts)."""
    lags_ms = [trial.figures.get("lab_lag_p99_ms") or 0.0 for trial in valid]
    return max(ALLOWANCE_S, LAGS * max(lags_ms, default=0.0) / 1000)


def covered(valid: Sequence[TrialResult], measure: str | None = None) -> str:
    """ "4 of 4": in how many quarters of the beat a strike fell; "" where there is no beat, or nobody saw it.

    Of a measure, only those changes count that it was measured of: strikes race against the beat, returns do not.
    """
    achieved = [
        change.phase_achieved
        for trial in valid
        for change in trial.changes
        if change.phase_achieved is not None and (measure is None or measure in change.values)
    ]
    return f"{len({min(3, int(phase * 4)) for phase in achieved})} of 4" if achieved else ""


def estimate_of(measure: Measure, valid: Sequence[TrialResult]) -> Estimate:
    """The mean of the trials' means with its interval, and the worst single value."""
    of = [(trial, seen_in(trial, measure.name)) for trial in valid]
    each = [trial.means[measure.name] for trial, seen in of if seen]
    if not each:
        note = "no valid trial" if not valid else "nothing was measured"
        return Estimate(None, None, None, 0, measure.unit, note=note)
    return estimate_from(measure, each, [sample for _, seen in of for sample in seen])


def estimate_from(measure: Measure, each: list[float], everything: Sequence[Seen]) -> Estimate:
    """The mean of some trials' figures with its interval, and the worst of the samples behind them."""
    interval = mean_interval(each)
    worst = max(everything, key=lambda sample: (sample.value, sample.censored))
    censored = sum(sample.censored for sample in everything)
    notes = [
        *([f"no interval below {LEAST} trials"] if interval.low is None else []),
        *([f"{censored} still going on when watched last: the mean is at least this"] if censored else []),
    ]
    return Estimate(
        interval.mean,
        interval.low,
        interval.high,
        interval.n,
        measure.unit,
        each,
        worst=worst.value,
        worst_censored=worst.censored,
        samples=len(everything),
        changes=len({(sample.trial, sample.change.change) for sample in everything if sample.change is not None}),
        censored=censored,
        worst_where=worst.where,
        evidence=worst.cited,
        note="; ".join(notes),
    )


def phase_means(
    measure: Measure, valid: Sequence[TrialResult], bounds: Mapping[str, Mapping[str, Any]]
) -> list[PhaseMean]:
    """Where the mean goes; the parts add up to it. Empty where no sample could be split."""
    trials: list[dict[str, float]] = []
    promised: dict[str, PhaseMean] = {}
    for trial in valid:
        by_change: dict[str, list[dict[str, float]]] = defaultdict(list)
        for sample in seen_in(trial, measure.name):
            if sample.change is None:
                continue
            # Of a route that had no outage there is nothing to split.
            unsplit = {} if sample.route and not sample.value else {UNSPLIT: sample.value}
            by_change[sample.change.change].append(dict(sample.phases) or unsplit)
            for phase in _promises(sample.change, bounds):
                _widen(promised, phase)
        if by_change:
            trials.append(_mean_parts([_mean_parts(parts) for parts in by_change.values()]))
    means = _mean_parts(trials) if trials else {}
    if not set(means) - {UNSPLIT}:
        return []
    names = [*promised, *(name for name in means if name not in promised)]
    made = [promised.get(name) or PhaseMean(name, None) for name in names]
    for phase in made:
        phase.mean_s = means.get(phase.name)
    return made


def blame(sample: Seen, bounds: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """(what took too long, the setting that moves it) of a sample outside its bound; ("", "") where nobody can say."""
    if sample.change is None:
        return "", ""
    promised = list(_promises(sample.change, bounds))
    took_s: dict[str, float] = defaultdict(float)
    for name, seconds in sample.phases.items():
        took_s[name.partition(":")[0]] += seconds  # "client: TCP retransmission" is the client's, too
    if sample.route:
        # A step that nothing is promised for has no right to take any time.
        promised += [PhaseMean(name, None) for name in took_s if name not in {phase.name for phase in promised}]
    known = [phase for phase in promised if phase.name in took_s]
    if not known:
        widest = max(promised, key=lambda phase: phase.high_s or 0.0, default=None)
        return "", widest.moved_by if widest else ""
    worst = max(known, key=lambda phase: took_s[phase.name] - (phase.high_s or 0.0))
    took = quantity(took_s[worst.name], "s")
    if worst.high_s is None:
        return f"{worst.name} took {took}, for which nothing is promised", ""
    return f"{worst.name} took {took} where at most {quantity(worst.high_s or 0.0, 's')} are promised", worst.moved_by


def _mean_parts(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: fmean(part.get(name, 0.0) for part in parts) for name in names}


def _promises(change: ChangeResult, bounds: Mapping[str, Mapping[str, Any]]) -> Iterator[PhaseMean]:
    key = f"{change.kind}@{change.route}" if change.route else change.kind
    bound = bounds.get(key) or next(
        (bound for bound in bounds.values() if bound.get("high_s") == change.bound_high_s), {}
    )
    for phase in bound.get("phases", ()):
        yield PhaseMean(phase["name"], None, phase["low_s"], phase["high_s"], phase.get("moved_by", ""))


def _widen(promised: dict[str, PhaseMean], phase: PhaseMean) -> None:
    """What several kinds of change promise together."""
    known = promised.setdefault(phase.name, phase)
    known.low_s = min(known.low_s or 0.0, phase.low_s or 0.0)
    known.high_s = max(known.high_s or 0.0, phase.high_s or 0.0)


def _most(phases: Sequence[PhaseMean]) -> str:
    most = max(phases, key=lambda phase: phase.mean_s or 0.0)
    if not most.mean_s or most.name == UNSPLIT:
        return ""
    return f"{most.name}, moved by {most.moved_by}" if most.moved_by else most.name


def _outside(arm: ArmResult, valid: Sequence[TrialResult]) -> Iterator[str]:
    """A sentence for every trial and change with samples outside their bound, above or below."""
    for measure in (item for item in ALL if item.bounded_by):
        for trial in valid:
            groups: dict[str, list[Seen]] = defaultdict(list)
            for sample in seen_in(trial, measure.name):
                if sample.change is not None:
                    groups[sample.change.change].append(sample)
            # Clients may well know of a goodbye before the end that it announced.
            announced = {change.node for change in trial.changes if change.kind == "leaving"}
            for of in groups.values():
                if measure is outage_s:
                    yield from _outage_outside(arm, of)
                    continue
                yield from _above(arm, measure.name, of)
                if measure is not dead_but_listed_s or of[0].node not in announced:
                    yield from _below(arm, of)


def _above(arm: ArmResult, measure: str, of: Sequence[Seen]) -> Iterator[str]:
    above = [sample for sample in of if (sample.excess_s(arm.allowance_s) or 0.0) > 0]
    if above:
        worst = max(above, key=lambda sample: sample.value)
        what, moved_by = blame(worst, arm.bounds)
        yield (
            f"{arm.arm}: {len(above)} of {len(of)} clients were {short(measure)} for longer than "
            f"{limit(worst.bound_s or 0.0, arm.allowance_s)} (worst: {quantity(worst.value, BY_NAME[measure].unit)}, "
            f"{worst.where})" + (f": {what}" if what else "") + (f"; moved by {moved_by}" if moved_by else "")
        )


def _below(arm: ArmResult, of: Sequence[Seen]) -> Iterator[str]:
    below = [sample for sample in of if (sample.lack_s(arm.allowance_s) or 0.0) > 0]
    if below:
        least = min(below, key=lambda sample: sample.value)
        low_s = least.change.bound_low_s if least.change is not None else None
        yield (
            f"{arm.arm}: {len(below)} of {len(of)} clients were right sooner than the settings allow "
            f"({quantity(least.value, 's')} where at least {quantity(low_s or 0.0, 's')} are expected, {least.where})"
        )


def _outage_outside(arm: ArmResult, of: Sequence[Seen]) -> Iterator[str]:
    """An outage beyond its bound, or shorter than it can be; no outage at all is not too short."""
    for sample in of:
        size = f">= {quantity(sample.value, 's')}" if sample.censored else quantity(sample.value, "s")
        if (sample.excess_s(arm.allowance_s) or 0.0) > 0:
            what, moved_by = blame(sample, arm.bounds)
            yield (
                f"{arm.arm}: no write was acknowledged for {size}, longer than "
                f"{limit(sample.bound_s or 0.0, arm.allowance_s)} ({sample.where})"
                + (f": {what}" if what else "")
                + (f"; moved by {moved_by}" if moved_by else "")
            )
        elif sample.value > 0 and (sample.lack_s(arm.allowance_s) or 0.0) > 0:
            low_s = sample.change.bound_low_s if sample.change is not None else None
            yield (
                f"{arm.arm}: writes came back sooner than the settings allow ({size} where at least "
                f"{quantity(low_s or 0.0, 's')} are expected, {sample.where})"
            )
