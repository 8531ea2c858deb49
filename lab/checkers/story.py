"""What happened in a trial about writes, a sentence each with times; nothing where nothing is worth one."""

from __future__ import annotations

from collections.abc import Iterator

from lab.checkers import link
from lab.checkers.books import Book, books_of, unsettled
from lab.checkers.database import Database, database_of
from lab.checkers.losses import after_strike, loss_words
from lab.checkers.outage import waterfalls
from lab.checkers.rows import reads_of
from lab.checkers.split_brain import after_fences, fences_of, split_words, splits_of
from lab.checkers.waterfall import RESTART
from lab.history import History
from lab.result import Waterfall


def sentences(history: History) -> list[str]:
    """Losses first, then who acknowledged beside whom, then what kind of an end the outage had."""
    database = database_of(history)
    reads = reads_of(history)
    books = books_of(history, database, reads) if unsettled(reads, database) is None else []
    falls = waterfalls(history)
    return [
        *(words for book in books if (words := loss_words(history, database, book, among=len(books)))),
        *_quiet_loss(books, falls),
        *_warned(books),
        *_two_primaries(history, database),
        *_seen_by_registrar(history, database),
        *_kinds(database, falls),
        *_late(database),
        *_managed(history, database),
        *link.words(history),
    ]


def _quiet_loss(books: list[Book], falls: list[Waterfall]) -> Iterator[str]:
    """The route that noticed least lost most: not being interrupted is no good sign then."""
    down: dict[str, float] = {}
    for fall in falls:
        down[fall.route] = down.get(fall.route, 0.0) + fall.outage_s
    lost = {book.ledger.label: len(book.lost) for book in books if book.ledger.label in down}
    if len(lost) < 2 or not any(lost.values()):
        return
    most = max(lost, key=lambda label: (lost[label], -down[label]))
    others = [label for label in lost if down[label] > 0]
    if down[most] == 0 and others and lost[most] > max(lost[label] for label in others):
        longest = max(others, key=lambda label: down[label])
        yield (
            f"the route with no outage lost the most: {most} lost {lost[most]} acknowledged writes, "
            f"{longest} was without service for {down[longest]:.2f} s and lost {lost[longest]}"
        )


def _warned(books: list[Book]) -> Iterator[str]:
    for book in books:
        kept, lost = book.account.kept.get("warned", 0), len(book.warned)
        if kept + lost:
            yield (
                f"{book.ledger.label}: {kept + lost} writes were acknowledged with the warning that they might not "
                f"have been replicated (the wait for a standby was cancelled); {lost} of them were lost"
            )


def _two_primaries(history: History, database: Database) -> Iterator[str]:
    splits = splits_of(history, database)
    yield from (words for split in splits if (words := split_words(database, split)))
    fences = fences_of(history, database)
    fenced = after_fences(fences, splits)
    if fenced:
        yield f"{len(fenced)} writes were acknowledged by {fenced[0].node} although it had been fenced"


def _seen_by_registrar(history: History, database: Database) -> Iterator[str]:
    """That there were two primaries to choose from, when that was seen first."""
    for event in history.of("registrar.saw"):
        primaries = event.fields["primaries"]
        if len(primaries) > 1 and database.truth.baseline_ns <= event.t_ns < database.truth.end_ns:
            names = " and ".join(f"{node} (timeline {timeline})" for node, timeline in sorted(primaries))
            newest = max(primaries, key=lambda one: one[1] or 0)[0]
            at = after_strike(database, event.t_ns)
            yield f"the registrar saw {len(primaries)} primaries {at}, {names}, and kept to {newest}"
            return


def _kinds(database: Database, falls: list[Waterfall]) -> Iterator[str]:
    """An end that was no failover says so."""
    told: set[str] = set()
    for fall in falls:
        blow = next(blow for blow in database.blows if fall.change.startswith(f"{blow.key}@"))
        if fall.kind == RESTART and blow.key not in told:
            told.add(blow.key)
            again = database.leads_again(fall.served_before, blow.at.after_ns, blow.until_ns)
            if again is not None:
                lasted_s = (again.middle_ns - blow.at.middle_ns) / 1e9
                yield f"no failover: {fall.served_before} was restarted in place after {lasted_s:.2f} s"
        elif fall.censored:
            last = fall.steps[-1].name if fall.steps else "the outage"
            yield f"{fall.route}: no write was acknowledged again for as long as was watched; it was stuck in {last}"


def _late(database: Database) -> Iterator[str]:
    """A failover that no strike asked for any more."""
    for promotion in database.promotions:
        if promotion.at.after_ns >= database.heal_ns:
            at = after_strike(database, promotion.at.middle_ns)
            yield f"{promotion.node} was promoted {at}, when everything was being healed or had been"


def _managed(history: History, database: Database) -> Iterator[str]:
    """What a failover controller said of itself that costs something."""
    for event in history.of("failover.degraded", "failover.fence_failed", "failover.stuck"):
        if not database.truth.baseline_ns <= event.t_ns < database.heal_ns:
            continue
        at = after_strike(database, event.t_ns)
        if event.kind == "failover.degraded":
            count = event.fields.get("sync_standbys", 0)
            yield f"commits wait for {count} standbys only, from {at} on: no more could be reached"
        elif event.kind == "failover.fence_failed":
            yield f"{event.fields['node']} could not be fenced {at}: {event.fields.get('why', '')}"
        else:
            yield f"the failover was stuck {at}: {event.fields.get('why', '')}"
