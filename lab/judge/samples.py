"""A trial's samples: by measure and by change, their means, and how they are spread over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean
from typing import Any

from lab.verdict import Sample


def mean_of(samples: list[Sample]) -> float:
    """A trial's mean: of its changes' means, so that a change with fewer clients counts no less."""
    return fmean(fmean(sample.value for sample in of) for of in by_change(samples).values())


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


def by_measure(samples: list[Sample]) -> dict[str, list[Sample]]:
    """Samples by their measure."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.measure].append(sample)
    return found


def _values(samples: list[Sample]) -> dict[str, Any]:
    values = [sample.value for sample in samples]
    return {
        "mean": fmean(values),
        "worst": max(values),
        "n": len(values),
        "censored": sum(sample.censored for sample in samples),
    }


def by_change(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Samples by the change that they are of; "" of the whole trial."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.change].append(sample)
    return dict(found)


def values_of(samples: list[Sample]) -> dict[str, dict[str, Any]]:
    """What one change came to: measure -> {mean, worst, n, censored}."""
    return {name: _values(of) for name, of in by_measure(samples).items()}
