"""When a route's writes were unavailable, and which strike that is charged to.

A write is unavailable when it was not acknowledged within its route's deadline of its intended start, whether it
failed, hung or was never sent. An outage runs from the first such intended start (not before the strike) to the
completion of the first of 10 acknowledged writes that follow each other by intended start. It is charged to the last
strike before it, or to the one that met it under way. What begins after that strike's heal was not done by the strike:
it is counted apart. An outage does not go on into the next strike where writes had come back between, though fewer than
ten of them: what fails from then on is the next strike's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lab.checkers.database import Blow, Database
from lab.checkers.ledger import RouteLedger, Write
from lab.checkers.truth import S

STREAK = 10
"""So many acknowledged writes in a row end an outage."""
UNDER_WAY_NS = S // 4
"""For so long a write may well be under way, when a strike meets it, without having been hindered before."""


class Outage(NamedTuple):
    """One outage of one route."""

    start_ns: int
    end_ns: int
    censored: bool
    """Still going on when the load ended: it lasted at least so long."""
    first: Write
    back: Write | None
    """The first of the acknowledged writes that ended it."""

    @property
    def lasts_s(self) -> float:
        return (self.end_ns - self.start_ns) / S


@dataclass(slots=True)
class Met:
    """How one route met one strike."""

    blow: Blow
    writes: int = 0
    """Due while it held and before the next strike: zero is no exposure."""
    outages: list[Outage] = field(default_factory=list)
    unavailable_s: float = 0.0
    unavailable: int = 0
    covered: bool = False
    """It fell into an earlier strike's outage, and no outage is its own: nothing can be said."""

    @property
    def longest(self) -> Outage | None:
        """The outage that counts: the longest of those that began while the strike held."""
        return max(self.outages, key=lambda outage: (outage.lasts_s, outage.censored), default=None)

    @property
    def censored(self) -> bool:
        """Whether one of them never ended: nobody knows then that the longest seen was the longest."""
        return any(outage.censored for outage in self.outages)


@dataclass(slots=True)
class RouteOutages:
    """Everything about one route."""

    ledger: RouteLedger
    met: list[Met]
    """One for every strike, in order."""
    before: list[Outage] = field(default_factory=list)
    """Begun before anything was struck."""
    after_heal: list[tuple[Blow, Outage]] = field(default_factory=list)
    """Begun after the strike was healed."""


def outages_of(ledger: RouteLedger, database: Database) -> RouteOutages:
    """The outages of a route, by strike."""
    found = RouteOutages(ledger, [Met(blow) for blow in database.blows])
    judged = [write for write in ledger.writes if not ledger.open_at_the_end(write)]
    for met in found.met:
        until_ns = min(met.blow.until_ns, max(met.blow.heal.after_ns, met.blow.at.before_ns))
        met.writes = sum(met.blow.at.after_ns <= write.due_ns < until_ns for write in judged)
    for first, back, end_ns in _runs(judged, ledger, found.met, database.truth.end_ns, STREAK):
        by, start_ns = _charged(first, ledger, found.met)
        outage = Outage(start_ns, max(end_ns, start_ns), back is None, first, back)
        if by is None:
            found.before.append(outage)
        elif start_ns >= by.blow.heal.after_ns:
            found.after_heal.append((by.blow, outage))
        else:
            by.outages.append(outage)
    _cover(found)
    _add_up(judged, ledger, database, found)
    return found


def _runs(
    writes: list[Write], ledger: RouteLedger, met: list[Met], load_end_ns: int, streak: int
) -> Iterator[tuple[Write, Write | None, int]]:
    """(first unavailable write, first of the streak that ended it, its completion); None: it never ended.

    A streak that the next strike cut short has ended it too, and so does that strike what was not the last one's.
    """
    first: Write | None = None
    good: list[Write] = []
    for write in writes:
        if ledger.in_time(write):
            if first is not None:
                good.append(write)
            if first is not None and len(good) == streak:
                yield first, good[0], good[0].done_ns
                first = None
            continue
        if first is not None and (struck_ns := _struck_between(first, write, bool(good), ledger, met)) is not None:
            yield first, *((good[0], good[0].done_ns) if good else (None, struck_ns))
            first = None
        first, good = first or write, []
    if first is not None:
        yield first, None, load_end_ns


def _struck_between(first: Write, write: Write, came_back: bool, ledger: RouteLedger, met: list[Met]) -> int | None:
    """When the strike came to which the later of two failures is charged, where that makes it another outage."""
    of, since_ns = _charged(first, ledger, met)
    by, _ = _charged(write, ledger, met)
    if by is None or by is of:
        return None
    mine = of is not None and since_ns < of.blow.heal.after_ns
    return None if mine and not came_back else by.blow.at.after_ns


def _charged(first: Write, ledger: RouteLedger, met: list[Met]) -> tuple[Met | None, int]:
    """(the strike that a failure is charged to, from when on)."""
    before = [one for one in met if one.blow.at.after_ns <= first.due_ns]
    ended_ns = min(first.done_ns, first.due_ns + ledger.deadline_ns)
    # What has hung for longer than that since an earlier strike did not hang for the later one.
    latest_ns = min(ended_ns, first.due_ns + UNDER_WAY_NS) if before else ended_ns
    under_way = next((one for one in met if first.due_ns < one.blow.at.after_ns <= latest_ns), None)
    if under_way is not None:
        return under_way, under_way.blow.at.after_ns
    return (before[-1] if before else None), first.due_ns


def _cover(found: RouteOutages) -> None:
    """Nobody can say what a strike did that fell into an earlier one's outage, unless there is one of its own."""
    for index, met in enumerate(found.met):
        earlier = [outage for one in found.met[:index] for outage in one.outages]
        under_way = any(o.start_ns <= met.blow.at.after_ns < o.end_ns for o in earlier)
        met.covered = under_way and not met.outages


def _add_up(judged: list[Write], ledger: RouteLedger, database: Database, found: RouteOutages) -> None:
    """Seconds without service, however often it came back between: each run until the next write that was in time."""
    taken_ns = 0
    for first, _, end_ns in _runs(judged, ledger, found.met, database.truth.end_ns, 1):
        met, start_ns = _charged(first, ledger, found.met)
        if met is not None and (start_ns < met.blow.heal.after_ns or _within(start_ns, met.outages)):
            met.unavailable_s += max(0, end_ns - max(start_ns, taken_ns)) / S
        taken_ns = max(taken_ns, end_ns)
    for write in judged:
        if not ledger.in_time(write):
            met, _ = _charged(write, ledger, found.met)
            if met is not None:
                met.unavailable += 1


def _within(t_ns: int, outages: list[Outage]) -> bool:
    return any(outage.start_ns <= t_ns <= outage.end_ns for outage in outages)
