"""Staircases: the share that is right against seconds, over the trials of an arm."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

Steps = list[tuple[float, float]]
"""(seconds, share from then on), rising in time; the first is at 0."""

_MOST_STEPS = 600
"""More steps than this are not told apart on paper, and make a page heavy."""


class Over(NamedTuple):
    """A curve over trials."""

    mean: Steps
    low: Steps
    high: Steps

    @property
    def last_s(self) -> float:
        """When the last client that became right did so."""
        return self.high[-1][0] if not self.mean else self.mean[-1][0]

    @property
    def right(self) -> float:
        """The share that was right in the end: below 1 where somebody still was wrong when the window closed."""
        return self.mean[-1][1]

    def reaches(self, share: float) -> float:
        """The first second at which the mean is at least `share`; the last one where it never is."""
        return next((t for t, value in self.mean if value >= share), self.last_s)


def over(trials: Sequence[Sequence[Sequence[float]]]) -> Over | None:
    """Mean, least and most of several trials' staircases; None where there is none."""
    curves = [_from_zero(curve) for curve in trials if curve]
    if not curves:
        return None
    times = _thin(sorted({t for curve in curves for t, _ in curve}))
    at = [[value_at(curve, t) for curve in curves] for t in times]
    return Over(
        [(t, sum(values) / len(values)) for t, values in zip(times, at, strict=True)],
        [(t, min(values)) for t, values in zip(times, at, strict=True)],
        [(t, max(values)) for t, values in zip(times, at, strict=True)],
    )


def value_at(curve: Steps, t: float) -> float:
    """The value of a staircase at `t`; 0 before its first step."""
    index = bisect_right(curve, t, key=lambda point: point[0])
    return curve[index - 1][1] if index else 0.0


def _from_zero(curve: Sequence[Sequence[float]]) -> Steps:
    points = sorted((max(0.0, float(t)), float(share)) for t, share in curve)
    return points if points[0][0] == 0 else [(0.0, 0.0), *points]


def _thin(times: list[float]) -> list[float]:
    if len(times) <= _MOST_STEPS:
        return times
    every = (len(times) - 1) / (_MOST_STEPS - 1)
    return [times[round(index * every)] for index in range(_MOST_STEPS)]
