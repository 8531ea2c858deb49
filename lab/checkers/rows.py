"""Which rows are there: what every server was read to have, and whose rows count as the surviving ones.

The surviving timeline is that of the server that led on the highest timeline when everything was healed. What a losing
server had is known from a read of it before it was rewound: before the heal, while it booted or rejoined, or at the
end where it still leads on a lower timeline.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.checkers.remembered import remembered
from lab.checkers.truth import Ref
from lab.history import Event, History


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of table `writes` on one server at one time."""

    node: str
    when: str
    timeline: int
    in_recovery: bool
    ids: Mapping[str, frozenset[int]]
    """By route; a route without a row is missing."""
    repeated: Mapping[str, Mapping[int, int]]
    """By route: ids that are there several times, and how often."""
    t_ns: int
    ref: Ref

    def of(self, route: str) -> frozenset[int]:
        """The ids of a route."""
        return self.ids.get(route, frozenset())


@dataclass(frozen=True, slots=True)
class Reads:
    """Every read of a server's rows in one trial."""

    read: tuple[Rows, ...]
    missed: tuple[tuple[str, str, str], ...]
    """(node, when, why) of those that could not be read."""

    @property
    def survivors(self) -> list[Rows]:
        """Who led on the highest timeline at the end: one, or it is not settled."""
        leading = [rows for rows in self.read if rows.when == "final" and not rows.in_recovery]
        highest = max((rows.timeline for rows in leading), default=0)
        return [rows for rows in leading if rows.timeline == highest]

    def lost_by(self, survivor: Rows) -> list[Rows]:
        """What servers had on timelines that did not survive: of each server the latest read."""
        found: dict[str, Rows] = {}
        for rows in self.read:
            apart = rows.timeline < survivor.timeline and not rows.in_recovery
            if apart and (rows.node != survivor.node or rows.t_ns < survivor.t_ns):
                found[rows.node] = rows
        return [rows for node, rows in found.items() if node != survivor.node]


@remembered
def reads_of(history: History) -> Reads:
    """Every read of rows, in order."""
    read: list[Rows] = []
    missed: list[tuple[str, str, str]] = []
    for event in history.of("rows"):
        fields = event.fields
        if fields.get("reached", True) and fields.get("ranges") is not None:
            read.append(_rows(event))
        else:
            missed.append((fields["node"], fields["when"], str(fields.get("why", ""))))
    return Reads(tuple(read), tuple(missed))


def seen_by_readers(history: History) -> dict[str, dict[int, Ref]]:
    """By route: every id that a reader saw at any time, with the first event that says so."""
    seen: dict[str, dict[int, Ref]] = defaultdict(dict)
    for event in history.of("read"):
        its = seen[event.fields["route"]]
        for first, last in event.fields["ranges"]:
            for number in range(first, last + 1):
                its.setdefault(number, event.ref)
    return dict(seen)


def _rows(event: Event) -> Rows:
    fields = event.fields
    ranges: Mapping[str, Any] = fields["ranges"]
    return Rows(
        fields["node"],
        fields["when"],
        int(fields.get("timeline") or 0),
        bool(fields.get("in_recovery")),
        {route: _ids(of) for route, of in ranges.items()},
        {route: {int(number): int(times) for number, times in of} for route, of in _repeated(fields).items()},
        event.t_ns,
        event.ref,
    )


def _repeated(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = fields.get("repeated") or {}
    return found


def _ids(ranges: list[list[int]]) -> frozenset[int]:
    return frozenset(number for first, last in ranges for number in range(first, last + 1))
