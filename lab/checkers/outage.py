"""How long nobody could write: one outage for every strike and route, with its waterfall.

No outage is a value of 0; a route that had no write to make while a strike held has no sample at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.checkers.blindness import Stall, blind_s, stalls_of
from lab.checkers.database import Database, database_of
from lab.checkers.ledger import ledgers_of
from lab.checkers.outages import Met, RouteOutages, outages_of
from lab.checkers.remembered import remembered
from lab.checkers.waterfall import waterfall
from lab.history import History
from lab.measures import outage_s, unavailable_s
from lab.result import Waterfall
from lab.verdict import Sample, Valid, Verdict

NAME = "outage"
CLIENTS = frozenset({"clients"})


def check(history: History) -> Verdict:
    """Two samples for every strike and route; unknown where nothing was struck, or nobody wrote."""
    database = database_of(history)
    if not database.blows:
        return Verdict(NAME, Valid.UNKNOWN, ("nothing was struck: there is no outage to measure",))
    routes = routes_of(history)
    stalls = stalls_of(history)
    samples = [
        sample for route in routes for met in route.met for sample in _samples(history, database, route, met, stalls)
    ]
    figures = {
        "outages_before_strikes": sum(len(route.before) for route in routes),
        "outages_after_heal": sum(len(route.after_heal) for route in routes),
        "outages": sum(len(met.outages) for route in routes for met in route.met),
        "writes_unavailable": sum(met.unavailable for route in routes for met in route.met),
    }
    if not samples:
        return Verdict(NAME, Valid.UNKNOWN, ("no write was due while a strike held: nobody to miss it",), (), figures)
    return Verdict(NAME, Valid.YES, (), tuple(samples), figures)


@remembered
def routes_of(history: History) -> list[RouteOutages]:
    """Every route's outages."""
    database = database_of(history)
    return [outages_of(ledger, database) for ledger in ledgers_of(history).values()]


def waterfalls(history: History) -> list[Waterfall]:
    """One for every strike and route that was measured, strikes first."""
    database = database_of(history)
    routes = routes_of(history)
    return [
        waterfall(history, database, route.ledger, blow, route.met[place].longest)
        for place, blow in enumerate(database.blows)
        for route in routes
        if watched(route.met[place])
    ]


def watched(met: Met) -> bool:
    """Whether a route was there to meet a strike."""
    return met.writes > 0 and not met.covered


def _samples(
    history: History, database: Database, route: RouteOutages, met: Met, stalls: list[Stall]
) -> Iterator[Sample]:
    if not watched(met):
        return
    ledger = route.ledger
    change = f"{met.blow.key}@{ledger.label}"
    outage = met.longest
    if outage is None:
        for measure in (outage_s, unavailable_s):
            yield Sample(measure.name, change, 0.0, evidence=(met.blow.ref,), route=ledger.label)
        return
    made = waterfall(history, database, ledger, met.blow, outage)
    width_s = ledger.resolution_s + blind_s(stalls, CLIENTS, outage.start_ns, outage.end_ns)
    phases = {step.name: step.lasts_s for step in made.steps}
    evidence = tuple((str(writer), int(seq)) for writer, seq in made.evidence)
    yield Sample(
        outage_s.name,
        change,
        outage.lasts_s,
        censored=met.censored,
        width_s=width_s,
        phases=phases,
        evidence=evidence,
        route=ledger.label,
    )
    yield Sample(
        unavailable_s.name,
        change,
        met.unavailable_s,
        censored=met.censored,
        width_s=width_s,
        evidence=(met.blow.ref, outage.first.ref),
        route=ledger.label,
    )
