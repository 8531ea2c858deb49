"""What became of the writes: every route's accounts, on the surviving timeline.

Four classes add up to all writes: acknowledged and kept, acknowledged and LOST, unacknowledged but kept,
unacknowledged and absent. What is there twice is counted beside them (it is also kept).

The WAL lost is the distance from the fork to the last lost acknowledgement on an older timeline. The fork is where the
controller found the WAL of the server it chose, where it says so (failover.chosen); else where that server's WAL stood
when it was first seen out of recovery, at most one poll of its supervisor later: a loss is never overstated by that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.checkers.database import Database, Promotion
from lab.checkers.ledger import RouteLedger, Write, ledgers_of
from lab.checkers.rows import Reads, Rows, seen_by_readers
from lab.checkers.truth import Ref
from lab.history import Event, History
from lab.result import Account

READ = "read before it was rewound"
UNREAD = "from acknowledgements only"


@dataclass(slots=True)
class Book:
    """One route's account, and the writes behind it."""

    ledger: RouteLedger
    account: Account
    survivor: Rows
    lost: list[Write] = field(default_factory=list)
    """In the order of their acknowledgements."""
    acknowledged_before: int = 0
    """Before anything was struck: without any, a loss of none says nothing."""
    read_then_gone: list[Ref] = field(default_factory=list)

    @property
    def warned(self) -> list[Write]:
        """The lost ones that came with a warning."""
        return [write for write in self.lost if write.warned]


def unsettled(reads: Reads, database: Database) -> str | None:
    """Why nobody can say which rows survived; None where that is settled."""
    survivors = reads.survivors
    if len(survivors) == 1:
        return _surpassed(survivors[0], reads, database)
    if survivors:
        names = " and ".join(sorted(rows.node for rows in survivors))
        return f"{names} both led on timeline {survivors[0].timeline} at the end: nobody can say whose rows survived"
    missed = [f"{node} ({why or 'no reason given'})" for node, when, why in reads.missed if when == "final"]
    if missed:
        return f"the surviving rows could not be read at the end: {', '.join(missed)}"
    return "nobody read the surviving rows at the end" if not reads.read else "nobody led at the end: no rows survived"


def _surpassed(survivor: Rows, reads: Reads, database: Database) -> str | None:
    """That somebody was promoted on a higher timeline, and its rows are not those that were read."""
    higher = [p for p in database.promotions if p.timeline > survivor.timeline and p.at.before_ns <= survivor.t_ns]
    if not higher:
        return None
    node, timeline = higher[-1].node, higher[-1].timeline
    why = next((why for of, when, why in reads.missed if (of, when) == (node, "final")), "") or "it did not lead then"
    return (
        f"{node} was promoted on timeline {timeline}, but the highest that could be read at the end was "
        f"{survivor.timeline} of {survivor.node} ({node}: {why})"
    )


def books_of(history: History, database: Database, reads: Reads) -> list[Book]:
    """Every route's account; `reads` must have one survivor."""
    (survivor,) = reads.survivors
    seen = seen_by_readers(history)
    losers = reads.lost_by(survivor)
    return [
        _book(ledger, database, survivor, losers, seen.get(ledger.label, {})) for ledger in ledgers_of(history).values()
    ]


def _book(ledger: RouteLedger, database: Database, survivor: Rows, losers: list[Rows], seen: dict[int, Ref]) -> Book:
    here = survivor.of(ledger.label)
    elsewhere = frozenset(number for rows in losers for number in rows.of(ledger.label))
    account = Account(ledger.label, len(ledger.writes), survivor=survivor.node)
    book = Book(ledger, account, survivor)
    kept, absent = [0, 0], [0, 0, 0]
    struck_ns = database.blows[0].at.after_ns if database.blows else database.truth.end_ns
    for write in ledger.writes:
        there = write.id in here
        gone = not there and write.id in seen
        if write.acknowledged:
            book.acknowledged_before += write.done_ns < struck_ns
            if there:
                kept[0] += 1
                kept[1] += write.warned
                continue
            book.lost.append(write)
        elif there:
            account.unacknowledged_kept += 1
        else:
            absent[0] += 1
            absent[1] += gone
            absent[2] += write.id in elsewhere
        if gone:
            book.read_then_gone.append(seen[write.id])
    book.lost.sort(key=lambda write: write.done_ns)
    read_lost = sum(write.id in seen for write in book.lost)
    account.kept = {"writes": kept[0], "warned": kept[1]}
    account.lost = {"writes": len(book.lost), "warned": len(book.warned), "read_then_gone": read_lost}
    account.unacknowledged_absent = {"writes": absent[0], "read_then_gone": absent[1], "only_on_loser": absent[2]}
    account.duplicated = sum(times > 1 for times in survivor.repeated.get(ledger.label, {}).values())
    if book.lost:
        account.lost_first_s = database.since_t0_s(book.lost[0].done_ns)
        account.lost_last_s = database.since_t0_s(book.lost[-1].done_ns)
    account.lost_after_promotion = sum(
        (promotion := left_behind_by(database, survivor, write)) is not None
        and write.done_ns > promotion.at.before_ns  # from then on the new timeline certainly existed
        for write in book.lost
    )
    account.lost_before_promotion = len(book.lost) - account.lost_after_promotion
    _name_loser(book, database, losers, here)
    return book


def promotion_of(database: Database, survivor: Rows) -> Promotion | None:
    """The promotion that made the surviving timeline; of none by that name, the survivor's last one."""
    of_node = [one for one in database.promotions if one.node == survivor.node]
    exact = [one for one in of_node if one.timeline == survivor.timeline]
    return (exact or of_node)[-1] if of_node else None


def left_behind_by(database: Database, survivor: Rows, write: Write) -> Promotion | None:
    """The promotion that a lost write was lost with: the first on a higher timeline than its own; of none, that of the
    survivor, which lost a write of its own then.
    """
    higher = [p for p in database.promotions if write.timeline is not None and p.timeline > write.timeline]
    return higher[0] if higher else promotion_of(database, survivor)


def _name_loser(book: Book, database: Database, losers: list[Rows], here: frozenset[int]) -> None:
    """Whose rows were left behind, and how they are known."""
    account = book.account
    mine = {rows.node: len(rows.of(book.ledger.label) - here) for rows in losers}
    if any(mine.values()):  # of several, after several failovers, the one with most of them: the number is its own
        account.loser = max(mine, key=lambda node: mine[node])
        account.source = READ
        account.diverged = mine[account.loser]
        return
    by = [write.node for write in book.lost if write.node and write.node != account.survivor]
    acknowledged = max(sorted(set(by)), key=by.count) if by else ""
    if acknowledged and acknowledged not in {rows.node for rows in losers}:
        account.loser, account.source, account.diverged = acknowledged, UNREAD, len(book.lost)
    elif losers:
        account.loser, account.source = losers[0].node, READ
    elif (promotion := promotion_of(database, book.survivor)) is not None and database.first_leader:
        old = database.first_leader
        account.loser, account.source = (old, UNREAD) if old != promotion.node else ("", "")


def chosen_for(history: History, promotion: Promotion) -> Event | None:
    """The controller's choice behind a promotion: its last word on that server before."""
    said = [
        event
        for event in history.of("failover.chosen")
        if event.fields["node"] == promotion.node and event.t_ns <= promotion.at.before_ns
    ]
    return said[-1] if said else None


def fork_of(history: History, promotion: Promotion) -> int | None:
    """Where a new timeline left the old one, as a place in the WAL; None where nobody said."""
    chosen = chosen_for(history, promotion)
    lsn = (chosen.fields.get("candidates") or {}).get(promotion.node) if chosen else None
    return promotion.lsn if lsn is None else int(lsn)


def lost_bytes(history: History, database: Database, lost: list[Write]) -> int:
    """WAL from the fork to the last lost acknowledgement of an older timeline; 0 where none lies behind it."""
    furthest = 0
    for promotion in database.promotions:
        fork = fork_of(history, promotion)
        behind = [w.lsn for w in lost if w.lsn is not None and (w.timeline or 0) < promotion.timeline]
        if fork is not None and behind:
            furthest = max(furthest, max(behind) - fork)
    return furthest
