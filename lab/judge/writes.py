"""What a trial about writes comes to beside its samples: changes by route, waterfalls, accounts, lanes, sentences."""

from __future__ import annotations

from dataclasses import dataclass

from lab.checkers.books import books_of, unsettled
from lab.checkers.database import Blow, Database, database_of
from lab.checkers.lanes import lanes
from lab.checkers.ledger import ledgers_of
from lab.checkers.outage import waterfalls
from lab.checkers.rows import reads_of
from lab.checkers.story import sentences
from lab.checkers.waterfall import bound_of
from lab.history import Event, History
from lab.judge.samples import by_change, values_of
from lab.result import Account, ChangeResult, Lane, Waterfall
from lab.verdict import Sample


@dataclass(slots=True)
class Told:
    """One trial about writes, in full."""

    database: Database
    changes: list[ChangeResult]
    waterfalls: list[Waterfall]
    accounts: list[Account]
    lanes: list[Lane]
    sentences: list[str]


def tell(history: History, samples: list[Sample]) -> Told:
    """Everything of a trial that its samples do not hold; accounts only where the surviving rows are known."""
    database = database_of(history)
    falls = waterfalls(history)
    reads = reads_of(history)
    books = books_of(history, database, reads) if unsettled(reads, database) is None else []
    return Told(
        database,
        _changes(history, database, samples, falls),
        falls,
        [book.account for book in books],
        lanes(history),
        sentences(history),
    )


def _changes(history: History, database: Database, samples: list[Sample], falls: list[Waterfall]) -> list[ChangeResult]:
    """One for every strike and route.

    The least that the settings allow counts from the strike. A route that wrote on for a while, as one does past a
    partition until the old primary is fenced, was out for so much less.
    """
    late_s = {f.change: f.first_failure_s - f.struck_s for f in falls if f.first_failure_s is not None}
    phases = {event.fields["strike"]: event.fields for event in history.of("strike.phase")}
    commanded = {event.fields["strike"]: event for event in history.of("fault.commanded")}
    healed = {event.fields["strike"]: event for event in history.of("fault.healed")}
    of_change = by_change(samples)

    def since_t0(event: Event | None) -> float | None:
        if event is None:
            return None
        after_ns, before_ns = event.fields.get("after_ns", event.t_ns), event.fields.get("before_ns", event.t_ns)
        return database.since_t0_s((after_ns + before_ns) // 2)

    def one(blow: Blow, route: str) -> ChangeResult:
        key = f"{blow.key}@{route}"
        phase, bound = phases.get(blow.strike, {}), bound_of(database, blow, route)
        return ChangeResult(
            change=key,
            kind=blow.fault,
            node=blow.node,
            at_s=database.since_t0_s(blow.at.middle_ns),
            width_s=(blow.at.before_ns - blow.at.after_ns) / 1e9,
            commanded_s=since_t0(commanded.get(blow.strike)),
            effective_s=database.since_t0_s(blow.at.middle_ns),
            healed_s=since_t0(healed.get(blow.strike)),
            phase_planned=phase.get("planned"),
            phase_achieved=phase.get("achieved"),
            bound_low_s=max(0.0, bound["low_s"] - late_s.get(key, 0.0)) if bound else None,
            bound_high_s=bound.get("high_s"),
            values=values_of(of_change.get(key, [])),
            route=route,
        )

    return [one(blow, route) for blow in database.blows for route in ledgers_of(history)]
