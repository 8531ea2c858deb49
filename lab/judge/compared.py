"""Two arms, trial by trial: the paired difference, its interval, and a verdict in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.judge.answers import Asked, Range, number
from lab.judge.arms import covered, seen_in
from lab.judge.words import change_noun, many, quantity, short, span
from lab.measures import WRITES, Measure, lost_s, split_brain_s
from lab.result import Difference, Estimate, ObjectiveResult, TrialResult
from lab.statistics import LEAST, Paired, holm, paired
from lab.verdict import Valid


@dataclass(slots=True)
class Comparison:
    """One measure of two arms, paired by repeat: trials of one repeat share their draws."""

    measure: Measure
    first: str
    second: str
    zero: float
    pairs: list[tuple[TrialResult, TrialResult]]
    found: Paired | None
    shown: bool = False
    """Whether the difference stands beside all others that were asked (Holm)."""
    others: int = 0

    @property
    def censored(self) -> tuple[int, int]:
        """Samples of either arm that were still going on when watched last: its mean is at least what it says."""
        one, other = (
            sum(sample.censored for pair in self.pairs for sample in seen_in(pair[side], self.measure.name))
            for side in (0, 1)
        )
        return one, other

    @property
    def where(self) -> Range:
        """Where the true difference lies, relative to `zero`."""
        if self.found is None or not self.shown or self.found.interval.low is None or self.found.interval.high is None:
            return Range(float("-inf"), float("inf"))
        in_first, in_second = self.censored
        low, high = self.found.interval.low - self.zero, self.found.interval.high - self.zero
        return Range(float("-inf") if in_second else low, float("inf") if in_first else high)

    @property
    def words(self) -> str:
        """The verdict in words, and what a trial counts by where several routes had their samples in it."""
        routes = {sample.route for pair in self.pairs for trial in pair for sample in seen_in(trial, self.measure.name)}
        several = f"Each trial counts by the mean of its {len(routes)} routes. " if len(routes) > 1 else ""
        return several + self._verdict

    @property
    def _verdict(self) -> str:
        if self.found is None or self.found.p is None:
            give = "gives" if len(self.pairs) == 1 else "give"
            return f"Not settled: {many(len(self.pairs), 'pair')} {give} no interval; at least {LEAST} are needed."
        mean = self.found.interval.mean
        where = self.where
        below, above = where.compare("<") is Valid.YES, where.compare(">") is Valid.YES
        if below or above:
            return self._apart(below)
        if any(self.censored) and self.shown and mean != self.zero:
            still = "outages still went on" if self.measure in WRITES else "clients were still wrong"
            return f"Not settled: some {still} when watched last, so a mean is only a least value."
        if self.others and not self.shown and self.found.more == 0:
            return f"Not settled: one of {self.others + 1} comparisons, and not clear enough beside the others (Holm)."
        start = f"The difference is not settled at {many(len(self.pairs), 'repeat')}"
        if self.found.more:
            return f"{start}: about {self.found.more} more would settle it, if mean and spread stay as they are."
        return f"{start}; it is too near to {self.zero:g}."

    def _apart(self, below: bool) -> str:
        if self.zero:
            return f"{self.first} - {self.second} is {'below' if below else 'above'} {self.zero:g} here."
        less = self.first if below else self.second
        if self.measure in (lost_s, split_brain_s):
            return f"{less} comes to less here."
        if self.measure.unit == "s":
            return f"{less} is faster here."
        return f"{less} has fewer {short(self.measure.name)} here."

    @property
    def sentence(self) -> str:
        """ "zookeeper - dns: -2.39 s [-2.61, -2.17], paired over 4 trials of 4 crashes, phases covered 4 of 4. ..." """
        start = f"{self.first} - {self.second}: "
        if self.found is None:
            return f"{start}no pair of valid trials. {self.words}"
        interval, unit = self.found.interval, self.measure.unit
        between = "" if interval.low is None or interval.high is None else f" {span(interval.low, interval.high, unit)}"
        return (
            f"{start}{quantity(interval.mean, unit)}{between}, paired over {many(len(self.pairs), 'trial')}"
            f"{self._changes}{self._covered}. {self.words}"
        )

    @property
    def _changes(self) -> str:
        """ " of 4 crashes": what was measured in each trial, where that is one thing."""
        per_trial = {
            tuple(sorted(Counter(kind for _, kind in _struck(trial, self.measure)).items()))
            for pair in self.pairs
            for trial in pair
        }
        if len(per_trial) != 1 or len(kinds := per_trial.pop()) != 1:
            return ""
        ((kind, count),) = kinds
        return f" of {many(count, change_noun(kind))}"

    @property
    def _covered(self) -> str:
        first, second = (covered([pair[side] for pair in self.pairs], self.measure.name) for side in (0, 1))
        if first and second:
            return f", phases covered {min(first, second)}"
        one = f"{first} in {self.first}" if first else f"{second} in {self.second}" if second else ""
        return f", phases covered {one}" if one else ""

    def result(self) -> Difference:
        """As a report shows it."""
        unit = self.measure.unit
        if self.found is None:
            estimate = Estimate(None, None, None, 0, unit, note="no pair of valid trials")
        else:
            interval = self.found.interval
            note = "" if interval.low is not None else f"no interval below {LEAST} pairs"
            each = [a.means[self.measure.name] - b.means[self.measure.name] for a, b in self.pairs]
            estimate = Estimate(interval.mean, interval.low, interval.high, interval.n, unit, each, note=note)
            estimate.samples = len(each)
            estimate.censored = sum(self.censored)
            estimate.worst = max(each, key=abs)
        return Difference(self.measure.name, self.first, self.second, estimate, len(self.pairs), self.words)

    def answer(self, asked: Asked, expected: str = "yes") -> ObjectiveResult:
        """The objective that asked for it, answered."""
        value = self.where.compare(asked.operator)
        return ObjectiveResult(str(asked), "", str(value), self.sentence, expected)


def _struck(trial: TrialResult, measure: Measure) -> set[tuple[str, str]]:
    """(strike and node, fault) of each change that was measured; several routes may have met one strike."""
    return {(c.change.partition("@")[0], c.kind) for c in trial.changes if measure.name in c.values}


def compare(
    measure: Measure, first: str, second: str, valid: Mapping[str, Sequence[TrialResult]], zero: float = 0.0
) -> Comparison:
    """Pair the valid trials of two arms by repeat."""
    others = {trial.repeat: trial for trial in valid.get(second, ()) if measure.name in trial.means}
    pairs = [
        (trial, others[trial.repeat])
        for trial in valid.get(first, ())
        if trial.repeat in others and measure.name in trial.means
    ]
    found = None
    if pairs:
        found = paired([a.means[measure.name] for a, _ in pairs], [b.means[measure.name] for _, b in pairs], zero)
    return Comparison(measure, first, second, zero, pairs, found)


def correct(comparisons: Sequence[Comparison]) -> None:
    """Decide which of several stand together: one by one, something false is found in most runs (Holm)."""
    with_p = [one for one in comparisons if one.found is not None and one.found.p is not None]
    shown = holm([one.found.p for one in with_p if one.found is not None and one.found.p is not None])
    for one, is_shown in zip(with_p, shown, strict=True):
        one.shown, one.others = is_shown, len(with_p) - 1


def asked_for(asked: Asked, valid: Mapping[str, Sequence[TrialResult]]) -> Comparison:
    """The comparison that an objective names."""
    return compare(asked.measure, asked.first, asked.second, valid, number(asked))
