"""The measures that checkers produce: what objectives are written in.

`worst(dead_but_listed_s) <= bound()` reads one of these, a reduction of it, and a comparison. A measure's name is
the same in scenarios, result.json and reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from lab.errors import BadInput


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that is measured: name, unit, the words a report uses, and who gives its samples."""

    name: str
    unit: str
    words: str
    per: str
    """"client and change", "change" or "trial"."""
    bounded_by: str = ""
    """Which bound `bound()` means: "removal", "return", "failover", or none."""

    def __str__(self) -> str:
        return self.name

    def __lt__(self, other: object) -> NoReturn:
        raise BadInput(f"{self.name} must be reduced before it is compared, e.g. worst({self.name}) <= 5")

    __le__ = __gt__ = __ge__ = __lt__


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

outage_s = Measure("outage_s", "s", "no write was acknowledged", "route and strike", "failover")
"""From the intended start of the first write that got no acknowledgement in time to the first of 10 that did."""

unavailable_s = Measure("unavailable_s", "s", "unavailable in all", "route and strike")
"""Seconds in which writes were unavailable, however often it came back between; to one over the rate."""

lost_writes = Measure("lost_writes", "writes", "acknowledged and lost", "route and trial")
"""Writes acknowledged to a client, also with a warning, that the surviving timeline does not have."""

lost_without_warning = Measure("lost_without_warning", "writes", "lost without a warning", "route and trial")
"""The same without those acknowledged with "canceling wait for synchronous replication"."""

lost_s = Measure("lost_s", "s", "seconds of lost writes (RPO)", "route and trial")
"""From the acknowledgement of the first lost write to that of the last one."""

lost_wal_bytes = Measure("lost_wal_bytes", "bytes", "WAL lost (RPO)", "trial")
"""WAL of acknowledged writes behind the point at which the surviving timeline left the old one."""

duplicated_writes = Measure("duplicated_writes", "writes", "written twice", "route and trial")
"""Writes that the surviving timeline has more than once."""

split_brain_writes = Measure("split_brain_writes", "writes", "acknowledged by a losing primary", "route and trial")
"""Writes acknowledged by another server after a primary of a higher timeline was promoted."""

split_brain_s = Measure("split_brain_s", "s", "a losing primary acknowledged on", "trial")
"""From the promotion of the new primary to the last acknowledgement of the old one."""

rejoin_s = Measure("rejoin_s", "s", "until every standby streams again", "trial")
"""From the heal (or the operator's order) to the instant at which every member streams from the primary again."""

WRITES = (
    outage_s,
    unavailable_s,
    lost_writes,
    lost_without_warning,
    lost_s,
    lost_wal_bytes,
    duplicated_writes,
    split_brain_writes,
    split_brain_s,
    rejoin_s,
)
"""What is measured at writes to a database; the others are measured at views of instances."""

VIEWS = (
    dead_but_listed_s,
    alive_but_missing_s,
    leaving_but_listed_s,
    attempts_on_dead,
    requests_lost,
    false_removals,
    wrong_view_s,
)
ALL = (*VIEWS, *WRITES)
BY_NAME = {measure.name: measure for measure in ALL}
