"""Whether a trial about writes can be judged at all: the common rules, and those of databases.

A trial that cannot is unknown, never a pass, and says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lab.checkers import link
from lab.checkers.blindness import Stall
from lab.checkers.books import unsettled
from lab.checkers.database import Database, database_of
from lab.checkers.ledger import RouteLedger, ledgers_of
from lab.checkers.rows import reads_of
from lab.checkers.validity import (
    EDGE_NS,
    NAME,
    blind,
    lab_figures,
    miscounted,
    ran_backwards,
    silent,
    underloaded,
    unfinished,
    unproven,
    unreadable,
)
from lab.history import History
from lab.verdict import Valid, Verdict

LINE = "write"
LEADER = "leader(postgres)"
STEADY_SHARE = 0.99
"""So many of a route's writes must be acknowledged in time before anything is broken."""
PROMOTION_WIDTH_S = 0.05
"""A promotion that is known less well than this would blur every step of the waterfall."""


def check(history: History) -> Verdict:
    """Yes when the trial can be judged, else unknown with every reason, a sentence each; never no."""
    if not history.plan:
        return Verdict(NAME, Valid.UNKNOWN, ("there is no plan event: this is not the history of a whole trial",))
    database = database_of(history)
    truth, ledgers = database.truth, ledgers_of(history)
    reasons = [
        *unfinished(history),
        *unproven(history, truth),
        *unreadable(history),
        *ran_backwards(history, LINE),
        *unsteady(database, ledgers),
        *missed_its_leader(database),
        *link.off(history),
        *unread(history, database),
        *unwitnessed(database, ledgers),
        *blind(history, truth, lambda stall: _stopped(database, stall)),
        *underloaded(history, truth, LINE),
        *miscounted(history, LINE),
        *silent(history, truth, _silenced(history, database)),
    ]
    answer = Valid.UNKNOWN if reasons else Valid.YES
    return Verdict(NAME, answer, tuple(reasons), (), _figures(history, database, ledgers))


def _figures(history: History, database: Database, ledgers: dict[str, RouteLedger]) -> dict[str, Any]:
    return {**lab_figures(history, database.truth), **_baseline(database, ledgers), **link.figures(history)}


def unsteady(database: Database, ledgers: dict[str, RouteLedger]) -> Iterator[str]:
    """Before anything is broken every route must work."""
    if not ledgers:
        yield "no write was ever made"
    for label, (due, in_time) in steadiness(database, ledgers).items():
        if not due:
            yield f"{label}: no write was due before the strike"
        elif in_time < STEADY_SHARE * due:
            yield (
                f"{label}: before anything was broken only {in_time} of {due} writes were acknowledged in time: "
                "no steady state"
            )


def steadiness(database: Database, ledgers: dict[str, RouteLedger]) -> dict[str, tuple[int, int]]:
    """By route: (writes of the baseline, of these acknowledged in time).

    Those that the first strike met under way, with time left, are not the baseline's.
    """
    until_ns = database.blows[0].at.after_ns if database.blows else database.truth.end_ns
    found = {}
    for label, ledger in ledgers.items():
        early = [
            write
            for write in ledger.writes
            if write.due_ns < until_ns - EDGE_NS
            and (write.done_ns <= until_ns or write.due_ns + ledger.deadline_ns <= until_ns)
        ]
        found[label] = (len(early), sum(ledger.in_time(write) for write in early))
    return found


def missed_its_leader(database: Database) -> Iterator[str]:
    """A strike at whoever leads that hit another one shows nothing: no outage after it is no merit of anybody."""
    planned = {strike["strike"]: str(strike["target"]) for strike in database.truth.plan.get("strikes", ())}
    for blow in database.blows:
        was = database.at(blow.node, blow.at.after_ns - 1)
        if planned.get(blow.strike) == LEADER and was is not None and was.state in ("standby", "down"):
            yield f"strike {blow.strike} was to hit the server that leads, but {blow.node} was {was.state} then"


def unread(history: History, database: Database) -> Iterator[str]:
    """Without the surviving rows nobody knows what was lost."""
    if database.servers and (why := unsettled(reads_of(history), database)) is not None:
        yield f"{why}: nobody knows what was lost"


def unwitnessed(database: Database, ledgers: dict[str, RouteLedger]) -> Iterator[str]:
    """Whoever acknowledges must have been seen to lead, and a promotion must be known well."""
    first_ns = database.blows[0].at.after_ns if database.blows else database.truth.end_ns
    for promotion in database.promotions:
        if promotion.at.after_ns < first_ns:
            yield f"{promotion.node} was promoted though nothing had been struck"
        if promotion.width_s > PROMOTION_WIDTH_S:
            yield (
                f"the promotion of {promotion.node} is known to {promotion.width_s:.3f} s only, "
                f"more than {PROMOTION_WIDTH_S:.3f} s"
            )
    for node in sorted(_acknowledging(ledgers)):
        if not database.led(node):
            yield f"{node} acknowledged writes, but nobody saw it lead"


def _acknowledging(ledgers: dict[str, RouteLedger]) -> set[str]:
    return {write.node for ledger in ledgers.values() for write in ledger.writes if write.acknowledged and write.node}


def _node_of(writer: str) -> str:
    """Whose server writes: "database/postgres1" is postgres1's; the agent lives in the host, which strikes spare."""
    return "" if writer.startswith("agent/") else writer.rpartition("/")[2]


def _stopped(database: Database, stall: Stall) -> bool:
    """Whether a strike stopped this writer together with its server, or it was only just starting again."""
    return any(
        _node_of(stall.writer) in (blow.node, *blow.also) and stall.before_ns > blow.at.after_ns
        for blow in database.blows
    )


def _silenced(history: History, database: Database) -> set[str]:
    """Writers that a strike killed or stopped, or a fence."""
    struck = {node for blow in database.blows for node in (blow.node, *blow.also)}
    struck |= {event.fields["node"] for event in history.of("failover.fenced")}
    return {event.writer for event in history.of("lag") if _node_of(event.writer) in struck}


def _baseline(database: Database, ledgers: dict[str, RouteLedger]) -> dict[str, object]:
    return {
        "routes": len(ledgers),
        "writes": sum(len(ledger.writes) for ledger in ledgers.values()),
        "in_time_before_strike": {
            label: round(in_time / due, 4) for label, (due, in_time) in steadiness(database, ledgers).items() if due
        },
    }
