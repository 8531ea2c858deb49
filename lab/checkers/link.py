"""The replication link: what it really delayed, as the standbys' own agents measured it, beside what was set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lab.history import History

SHARE = 0.05
"""By how much of what was set the measured lag may differ."""
FLOOR_MS = 5.0
"""The commit's way to the standby without any lag, and the looks that find it there."""


def lags_ms(history: History) -> dict[str, float]:
    """Standby -> the median of what its commits were late by; empty without a link."""
    told = history.of("replication.lag")
    return {event.fields["node"]: 1000 * event.fields["median_s"] for event in told if "median_s" in event.fields}


def figures(history: History) -> dict[str, Any]:
    """For the trial's figures: nothing where there is no link."""
    found = lags_ms(history)
    return {"replication_lag_ms": found} if found else {}


def off(history: History) -> Iterator[str]:
    """A link that does not do what it was set to is not the one that was asked about."""
    wanted_ms = history.plan.get("settings", {}).get("postgres", {}).get("lag_ms")
    if wanted_ms is None:
        return
    for event in history.of("replication.lag"):
        if "median_s" not in event.fields:
            yield f"the lag of replication to {event.fields['node']} could not be measured: {event.fields.get('why')}"
    for node, lag_ms in lags_ms(history).items():
        if abs(lag_ms - wanted_ms) > max(FLOOR_MS, SHARE * wanted_ms):
            yield f"replication to {node} was {lag_ms:.1f} ms late, where {wanted_ms:g} ms were set"


def words(history: History) -> Iterator[str]:
    """One sentence on what was measured."""
    found = lags_ms(history)
    wanted_ms = history.plan.get("settings", {}).get("postgres", {}).get("lag_ms")
    if found and wanted_ms is not None:
        each = ", ".join(f"{lag_ms:.1f} ms to {node}" for node, lag_ms in found.items())
        yield f"replication over the link was late by {each}, before the load; {wanted_ms:g} ms were set"
