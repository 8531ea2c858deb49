"""What was lost and why, a sentence each: who acknowledged it when, and why the surviving timeline does not have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.checkers.books import READ, UNREAD, Book, chosen_for, fork_of, left_behind_by
from lab.checkers.database import Database, Promotion
from lab.checkers.ledger import Write
from lab.checkers.truth import S
from lab.history import History


def loss_words(history: History, database: Database, book: Book, among: int = 1) -> str:
    """Why a route's writes were lost; "" where none was. `among`: of how many routes, for whether to name it."""
    if not book.lost:
        return ""
    on = f" of {book.ledger.label}" if among > 1 else ""
    count = len(book.lost)
    parts = [
        f"{count} acknowledged {'write' if count == 1 else 'writes'}{on} {'was' if count == 1 else 'were'} lost: "
        + "; ".join(_groups(history, database, book)),
        *_because(history, database, book),
    ]
    return ". ".join(parts)


def _groups(history: History, database: Database, book: Book) -> Iterator[str]:
    """By who acknowledged, which promotion left it behind, and whether that next primary was there already."""
    total = len(book.lost)
    groups: dict[tuple[str, Promotion | None], list[Write]] = {}
    for write in book.lost:
        groups.setdefault((write.node or "nobody known", left_behind_by(database, book.survivor, write)), []).append(
            write
        )
    for (node, promotion), mine in groups.items():
        if promotion is None or node == promotion.node:
            yield f"{_acknowledged(database, node, mine, total)}, and does not have them any more"
            continue
        before = [write for write in mine if write.done_ns <= promotion.at.before_ns]
        after = [write for write in mine if write.done_ns > promotion.at.before_ns]
        if before:
            yield f"{_acknowledged(database, node, before, total)}, and {_not_received(history, promotion, before)}"
        if after:
            at = after_strike(database, promotion.at.middle_ns)
            yield (
                f"{_acknowledged(database, node, after, total)}, though {promotion.node} had been promoted {at}: "
                "there were two primaries"
            )


def _acknowledged(database: Database, node: str, writes: Sequence[Write], total: int) -> str:
    """ "postgres1 acknowledged 38 of them between 0.12 s before and 0.01 s after the crash of postgres1"."""
    them = f"{len(writes)} of them" if len(writes) < total else "it" if total == 1 else "them"
    return f"{node} acknowledged {them} {between(database, writes[0].done_ns, writes[-1].done_ns)}"


def _not_received(history: History, promotion: Promotion, writes: Sequence[Write]) -> str:
    """ "postgres2 was promoted without having received them (it had WAL up to 0/3A1F0, they go on to 0/3B200)"."""
    fork = fork_of(history, promotion)
    behind = [write.lsn for write in writes if write.lsn is not None]
    them = "it" if len(writes) == 1 else "them"
    words = f"{promotion.node} was promoted without having received {them}"
    if fork is None:
        return words
    if not behind or max(behind) <= fork:
        return f"{words} (it had WAL up to {place(fork)})"
    go = "it lies at" if len(writes) == 1 else "they go on to"
    return f"{words} (it had WAL up to {place(fork)}, {go} {place(max(behind))}, {max(behind) - fork} bytes further)"


def _because(history: History, database: Database, book: Book) -> Iterator[str]:
    """What made it possible, where that is known."""
    for promotion in dict.fromkeys(left_behind_by(database, book.survivor, write) for write in book.lost):
        if promotion is not None and (wrong := wrong_choice(history, promotion)):
            yield wrong
    for blow in database.blows:
        if blow.fault == "site_loss":
            links = " and ".join(blow.also) or "the link"
            yield f"What was under way to the standbys died with {links}"
    if book.ledger.settings.get("acknowledge") == "statement":
        yield f"{book.ledger.label} counts a write as acknowledged before its COMMIT has returned"
    if warned := len(book.warned):
        yield (
            f"{warned} of them came with the warning that they might not have been replicated, "
            "which most programs do not read"
        )
    if gone := book.account.lost.get("read_then_gone", 0):
        all_of = "All" if gone == len(book.lost) else str(gone)
        yield f"{all_of} of them had been read by somebody before they were gone"
    if book.account.source == READ and book.account.diverged:
        yield f"{book.account.loser} had {book.account.diverged} rows that nobody else has (read before it was rewound)"
    elif book.account.source == UNREAD:
        yield f"Nobody read the rows of {book.account.loser} before they were gone: this is from acknowledgements only"


def wrong_choice(history: History, promotion: Promotion) -> str:
    """ "postgres3 had WAL up to 0/.., 512 bytes more, but postgres2 was promoted: the rule was first"; else ""."""
    chosen = chosen_for(history, promotion)
    candidates = {node: int(lsn) for node, lsn in ((chosen.fields.get("candidates") or {}) if chosen else {}).items()}
    if chosen is None or promotion.node not in candidates:
        return ""
    best = max(candidates, key=lambda node: (candidates[node], node == promotion.node))
    ahead = candidates[best] - candidates[promotion.node]
    if ahead <= 0:
        return ""
    return (
        f"{best} had WAL up to {place(candidates[best])}, {ahead} bytes more, but {promotion.node} was promoted: "
        f"the rule was {str(chosen.fields.get('rule', '')).replace('_', ' ')}"
    )


def between(database: Database, first_ns: int, last_ns: int) -> str:
    """ "between 0.12 s before and 0.01 s after the crash of postgres1"; "0.12 s before .." of one instant."""
    if first_ns == last_ns:
        return after_strike(database, first_ns)
    since_ns, what = _since(database, last_ns)
    first, last = (first_ns - since_ns) / S, (last_ns - since_ns) / S
    if first < 0 <= last:
        return f"between {-first:.3f} s before and {last:.3f} s after {what}"
    if last < 0:
        return f"between {-first:.3f} and {-last:.3f} s before {what}"
    return f"between {first:.3f} and {last:.3f} s after {what}"


def after_strike(database: Database, t_ns: int) -> str:
    """ "0.812 s after the crash of postgres1": after the last strike before it."""
    since_ns, what = _since(database, t_ns)
    at_s = (t_ns - since_ns) / S
    return f"{abs(at_s):.3f} s {'before' if at_s < 0 else 'after'} {what}"


def _since(database: Database, t_ns: int) -> tuple[int, str]:
    """What a sentence counts from."""
    blow = database.blow_before(t_ns)
    return (blow.at.middle_ns, blow.words) if blow else (database.t0_ns, "the end of the baseline")


def place(lsn: int) -> str:
    """A place in the WAL as Postgres writes it: "0/3A1F0"."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
