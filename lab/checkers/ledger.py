"""What became of every write, as its clients know it: one line a write, by route, in the order of intended starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lab.checkers.remembered import remembered
from lab.checkers.truth import Ref, S
from lab.history import History

ENDED = "ended"
"""Why a write was left open: the load ended first."""


class Write(NamedTuple):
    """One write: intended, perhaps sent, and how it ended for its client."""

    route: str
    id: int
    due_ns: int
    sent_ns: int | None
    done_ns: int
    node: str | None
    outcome: str
    why: str
    timeline: int | None
    lsn: int | None
    warned: bool
    ref: Ref

    @property
    def acknowledged(self) -> bool:
        """Whether its client believes it to be written, however late."""
        return self.outcome == "ok"


@dataclass(slots=True)
class RouteLedger:
    """One route's writes."""

    label: str
    kind: str
    settings: Mapping[str, Any]
    deadline_ns: int
    rate_per_s: float
    writes: list[Write] = field(default_factory=list)

    @property
    def resolution_s(self) -> float:
        """Finer than the time between two writes nothing can be told."""
        return 1.0 / self.rate_per_s if self.rate_per_s > 0 else 0.0

    def in_time(self, write: Write) -> bool:
        """Whether it was acknowledged within the deadline of its intended start."""
        return write.outcome == "ok" and write.done_ns <= write.due_ns + self.deadline_ns

    def open_at_the_end(self, write: Write) -> bool:
        """Whether the load ended before anybody could say."""
        return write.why == ENDED and write.outcome != "ok" and write.done_ns < write.due_ns + self.deadline_ns


@remembered
def ledgers_of(history: History) -> dict[str, RouteLedger]:
    """Every route's writes by its label; a route without a single write is there, and empty."""
    plan = history.plan
    begun = next(history.of("load.begin"), None)
    told = plan.get("routes") or (begun.fields.get("routes") if begun else None) or ()
    rate_per_s = float((begun.fields if begun else plan).get("rate_per_s") or 0.0)
    found: dict[str, RouteLedger] = {}
    for route in told:
        settings = route.get("settings", {})
        deadline_s = float(settings.get("deadline_s", plan.get("deadline_s", 0.0)))
        one = RouteLedger(route["label"], route["kind"], settings, int(deadline_s * S), rate_per_s / len(told))
        found[one.label] = one
    for event in history.of("write"):
        fields = event[4]
        route = fields["route"]
        if route not in found:  # nobody announced it: it is judged all the same
            found[route] = RouteLedger(route, route, {}, int(float(plan.get("deadline_s", 0.0)) * S), 0.0)
        found[route].writes.append(
            Write(
                route,
                fields["id"],
                fields["due_ns"],
                fields["sent_ns"],
                event[0],
                fields["node"],
                fields["outcome"],
                fields.get("why") or "",
                fields.get("timeline"),
                fields.get("lsn"),
                bool(fields.get("warned")),
                (event[1], event[2]),
            )
        )
    for ledger in found.values():
        ledger.writes.sort(key=_due)
    return found


def _due(write: Write) -> tuple[int, int]:
    return (write.due_ns, write.id)
