"""Intervals and verdicts over trials. The only file that imports numpy and scipy; it knows nothing of arms or events.

The unit is the trial: clients of one trial share its fault, so they are one fact, not thirty. Below 3 trials there is
no interval. Everything is two-sided at 95 % unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite, sqrt

import numpy as np
from scipy.special import stdtr, stdtrit

LEAST = 3
"""Trials below which there is no interval."""
BOOTSTRAP_LEAST = 8
"""Trials below which a bootstrap interval is too narrow to be shown."""
CONFIDENCE = 0.95
MANY = 10_000
"""More repeats than this settle nothing in practice."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean (or another statistic) over trials; `low` and `high` are None where the trials are too few."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Paired:
    """A mean paired difference, its interval, and how surprising it would be if there were none."""

    interval: Interval
    p: float | None
    """Two-sided p of "no difference from `zero`"; None where there is no interval."""
    more: int | None
    """How many more pairs would probably settle it; 0: it is settled; None: nobody can say, or too many."""


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Student's interval of the mean of trials. Raises ValueError of no values."""
    if not values:
        raise ValueError("the mean of no trials")
    n, mean = len(values), float(np.mean(values))
    if n < LEAST:
        return Interval(mean, None, None, n)
    half = _t(confidence, n) * _standard_error(values)
    return Interval(mean, mean - half, mean + half, n)


def paired(first: Sequence[float], second: Sequence[float], zero: float = 0.0) -> Paired:
    """Student's paired comparison of first - second with `zero`, pair by pair. Raises ValueError of unequal lengths."""
    if len(first) != len(second):
        raise ValueError("pairs need two values each")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    interval = mean_interval(differences)
    if interval.n < LEAST:
        return Paired(interval, None, None)
    return Paired(interval, p_value(differences, zero), more_repeats(differences, zero))


def p_value(values: Sequence[float], zero: float = 0.0) -> float:
    """Two-sided p of Student's test that the mean is `zero`; of values that are all alike: 1 or 0."""
    away, error = float(np.mean(values)) - zero, _standard_error(values)
    if error == 0:
        return 1.0 if away == 0 else 0.0
    return float(2 * stdtr(len(values) - 1, -abs(away) / error))


def more_repeats(values: Sequence[float], zero: float = 0.0, confidence: float = CONFIDENCE) -> int | None:
    """How many more trials would settle on which side of `zero` the mean lies, if mean and spread stay as they are.

    0 where it is settled already; None where the mean is so near that no sensible number would do.
    """
    n, spread = len(values), float(np.std(values, ddof=1)) if len(values) > 1 else inf
    away = abs(float(np.mean(values)) - zero)
    if spread == 0:
        return 0 if away > 0 else None
    if away == 0 or not isfinite(spread):
        return None
    # t shrinks with n, so the normal quantile gives a number that is too small: start there and go up.
    needed = max(n, LEAST, ceil((1.9 * spread / away) ** 2))
    while needed <= MANY and _t(confidence, needed) * spread / sqrt(needed) >= away:
        needed += 1
    return needed - n if needed <= MANY else None


def holm(p_values: Sequence[float], alpha: float = 1 - CONFIDENCE) -> list[bool]:
    """Which of several comparisons are shown, so that one false one among all is as rare as `alpha` (Holm)."""
    shown = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        shown[index] = True
    return shown


def bootstrap_interval(
    values: Sequence[float], *, seed: int = 0, draws: int = 4000, confidence: float = CONFIDENCE
) -> Interval:
    """Studentised bootstrap interval of the mean of trials, for figures that are far from normal (medians, say).

    None below 8 trials, where it would be far too narrow. Same values and seed, same interval. Raises ValueError of
    no values.
    """
    plain = mean_interval(values, confidence)
    error = _standard_error(values) if plain.n >= BOOTSTRAP_LEAST else 0.0
    if plain.n < BOOTSTRAP_LEAST:
        return Interval(plain.mean, None, None, plain.n)
    if error == 0:
        return Interval(plain.mean, plain.mean, plain.mean, plain.n)
    drawn = np.random.default_rng(seed).choice(np.asarray(values, dtype=float), size=(draws, plain.n))
    spreads = drawn.std(axis=1, ddof=1)
    whole = drawn[spreads > 0]  # a draw of one value n times over has no error of its own
    pivots = (whole.mean(axis=1) - plain.mean) / (spreads[spreads > 0] / sqrt(plain.n))
    tail = (1 - confidence) / 2
    low, high = np.quantile(pivots, [tail, 1 - tail])
    return Interval(plain.mean, float(plain.mean - high * error), float(plain.mean - low * error), plain.n)


def supports(quantile: float, repeats: int) -> bool:
    """Whether so many repeats carry a quantile at all: repeats >= 3 / (1 - q). Below, it is only "seen"."""
    return quantile < 1 and repeats * (1 - quantile) >= 3 - 1e-9


def noise_floor(differences: Sequence[float]) -> float | None:
    """The smallest difference that means anything: the half-width of the interval of an A/A run's paired differences.

    None below 3 pairs. Without an A/A run there is no floor to show.
    """
    interval = mean_interval(differences) if differences else None
    if interval is None or interval.high is None:
        return None
    return interval.high - interval.mean


def _t(confidence: float, n: int) -> float:
    return float(stdtrit(n - 1, (1 + confidence) / 2))


def _standard_error(values: Sequence[float]) -> float:
    spread = float(np.std(values, ddof=1))
    # Values that are all alike may differ in the last bit of their mean: that is no spread.
    scale = max(abs(float(np.max(values))), abs(float(np.min(values))))
    return 0.0 if spread <= 1e-12 * scale else spread / sqrt(len(values))
