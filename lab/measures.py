"""The measures that checkers produce: what objectives are written in.

`worst(dead_but_listed_s) <= bound()` reads one of these, a reduction of it, and a comparison. A measure's name is
the same in scenarios, result.json and reports.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that is measured: name, unit, the words a report uses, and who gives its samples."""

    name: str
    unit: str
    words: str
    per: str
    """"client and change", "change" or "trial"."""
    bounded_by: str = ""
    """Which bound `bound()` means: "removal", "return", or none."""


dead_but_listed_s = Measure(
    "dead_but_listed_s", "s", "wrong after a change: dead but listed", "client and change", "removal"
)
"""From the instant an instance stopped serving to the last instant a client listed it (design: staleness)."""

alive_but_missing_s = Measure(
    "alive_but_missing_s", "s", "wrong after a return: alive but missing", "client and change", "return"
)
"""From the instant an instance serves (again) to the instant a client lists it for good."""

leaving_but_listed_s = Measure(
    "leaving_but_listed_s", "s", "wrong after a goodbye: leaving but listed", "client and change", "removal"
)
"""From the instant an instance says it will go to the last instant a client listed it."""

attempts_on_dead = Measure("attempts_on_dead", "attempts", "calls to the dead", "change")
"""Attempts sent to an instance that was dead when they were sent, per change."""

requests_lost = Measure("requests_lost", "requests", "requests lost", "change")
"""Intended requests due within the change's window that were not answered in time, per change."""

false_removals = Measure("false_removals", "removals", "removals of the living", "trial")
"""Times that an alive instance left a registry or a client's view, over a trial."""

wrong_view_s = Measure("wrong_view_s", "client-seconds", "wrong views", "trial")
"""Client-seconds in which a view differed from who was alive, outside the windows of strikes; with its exposure."""

ALL = (
    dead_but_listed_s,
    alive_but_missing_s,
    leaving_but_listed_s,
    attempts_on_dead,
    requests_lost,
    false_removals,
    wrong_view_s,
)
BY_NAME = {measure.name: measure for measure in ALL}
