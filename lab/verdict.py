"""Three answers, not two: yes, no, and unknown; and what a checker hands on beside its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Valid(StrEnum):
    """yes: shown to hold; no: shown not to hold; unknown: nobody can say."""

    YES = "yes"
    UNKNOWN = "unknown"
    NO = "no"


def worst(answers: Iterable[Valid]) -> Valid:
    """no beats unknown beats yes; of nothing at all, unknown."""
    order = (Valid.NO, Valid.UNKNOWN, Valid.YES)
    return min(answers, key=order.index, default=Valid.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value: of one client and one change, or of one change (`client` is None).

    `change` is "strike:node", e.g. "2:backend5". `value` is in the measure's unit; `censored` means that it was still
    going on when the window closed, so the truth is >= value. `width_s` is the width of the interval in which the
    change happened plus every lab stall that overlaps, both halves: the value is good to +- width_s / 2.
    """

    measure: str
    change: str
    value: float
    client: int | None = None
    censored: bool = False
    width_s: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds of each phase, in order; they add up to value. Empty where milestones are missing."""
    evidence: tuple[tuple[str, int], ...] = ()
    """(writer, seq) of the events it was computed from."""
    route: str = ""
    """Of writes: the label of the route; its `change` is then "1:postgres1@multi_host"."""
    why: str = ""
    """A sentence about this value, where one is due: which writes were lost, and why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one checker says of one trial: an answer, reasons where it is not yes, and samples."""

    checker: str
    valid: Valid
    reasons: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)
    """Numbers that are not samples: counts, exposure, lab lag (names carry units)."""
    evidence: tuple[tuple[str, int], ...] = ()
