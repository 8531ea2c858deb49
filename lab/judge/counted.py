"""How counts of writes are worded: always beside how many there were, for zero of nothing says nothing."""

from __future__ import annotations

from collections.abc import Sequence

from lab.judge.arms import Seen
from lab.judge.words import many
from lab.measures import (
    Measure,
    duplicated_writes,
    lost_s,
    lost_wal_bytes,
    lost_without_warning,
    lost_writes,
    outage_s,
    rejoin_s,
    split_brain_s,
    split_brain_writes,
    unavailable_s,
)
from lab.result import TrialResult

_WORDS = {
    lost_writes: "acknowledged writes lost",
    lost_without_warning: "acknowledged writes lost without a warning",
    duplicated_writes: "acknowledged writes there twice",
    split_brain_writes: "writes after a promotion acknowledged by a losing primary",
}
COUNTED = frozenset(_WORDS)
"""Measures that are counts of writes."""

_NO_ACKNOWLEDGED = "no write was acknowledged before the strike, so none could be lost"
_NO_PROMOTION = "nobody was promoted, so there was never a second primary"
_NOTHING = {
    outage_s: "no write was due while a strike held",
    unavailable_s: "no write was due while a strike held",
    lost_writes: _NO_ACKNOWLEDGED,
    lost_without_warning: _NO_ACKNOWLEDGED,
    lost_s: _NO_ACKNOWLEDGED,
    lost_wal_bytes: _NO_ACKNOWLEDGED,
    duplicated_writes: _NO_ACKNOWLEDGED,
    split_brain_writes: _NO_PROMOTION,
    split_brain_s: _NO_PROMOTION,
    rejoin_s: "every server streamed all the time, so nobody had to come back",
}


def nothing(measure: Measure) -> str:
    """Why nothing was measured of writes; "" for a measure of views."""
    return _NOTHING.get(measure, "")


def counted(measure: Measure, valid: Sequence[TrialResult], everything: Sequence[Seen]) -> str:
    """ "38 of 41,230 acknowledged writes lost in 4 trials (most: 38 in trial 3, multi_host)"."""
    found = round(sum(sample.value for sample in everything))
    of = sum(_exposure(trial, measure) for trial in valid)
    words = f"{found:,} of {of:,} {_WORDS[measure]} in {many(len(valid), 'trial')}"
    if not found:
        return words
    most = max(everything, key=lambda sample: sample.value)
    return f"{words} (most: {most.value:.0f} in {most.where})"


def _exposure(trial: TrialResult, measure: Measure) -> int:
    """How many writes of a trial could have been counted."""
    if measure is split_brain_writes:
        return sum((trial.figures.get("acknowledged_after_promotion") or {}).values())
    return int(trial.figures.get("acknowledged_writes") or 0)
