"""What was lost: acknowledged writes that the surviving timeline does not have, and writes that it has twice.

Without an acknowledged write before the strike a loss of none says nothing, and there is no sample.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.checkers.books import Book, books_of, lost_bytes, unsettled
from lab.checkers.database import database_of
from lab.checkers.losses import loss_words
from lab.checkers.rows import reads_of
from lab.checkers.truth import S
from lab.history import History
from lab.measures import duplicated_writes, lost_s, lost_wal_bytes, lost_without_warning, lost_writes
from lab.verdict import Sample, Valid, Verdict

NAME = "accounts"
EVIDENCE = 20


def check(history: History) -> Verdict:
    """Four samples a route and one a trial; unknown where the survivor's rows are not known, or nobody had written."""
    database = database_of(history)
    reads = reads_of(history)
    if (why := unsettled(reads, database)) is not None:
        return Verdict(NAME, Valid.UNKNOWN, (why,))
    books = books_of(history, database, reads)
    with_writes = [book for book in books if book.acknowledged_before]
    exposed = sum(book.account.kept["writes"] + book.account.lost["writes"] for book in with_writes)
    figures = {
        "acknowledged_writes": exposed,
        "acknowledged_writes_by_route": {
            book.ledger.label: book.account.kept["writes"] + book.account.lost["writes"] for book in with_writes
        },
        "lost_wal_bytes_by_route": {
            book.ledger.label: lost_bytes(history, database, book.lost) for book in with_writes
        },
    }
    if not with_writes:
        return Verdict(NAME, Valid.UNKNOWN, ("no write was acknowledged before the strike: a claim about nothing",))
    samples = [
        sample
        for book in with_writes
        for sample in _samples(book, loss_words(history, database, book, among=len(books)))
    ]
    lost = [write for book in with_writes for write in book.lost]
    size = lost_bytes(history, database, lost)
    cited = tuple(write.ref for write in lost[-1:]) or (with_writes[0].survivor.ref,)
    samples.append(Sample(lost_wal_bytes.name, "", float(size), evidence=cited))
    answer = Valid.NO if lost else Valid.YES
    reasons = (f"{len(lost)} acknowledged writes are not on the surviving timeline",) if lost else ()
    return Verdict(NAME, answer, reasons, tuple(samples), figures)


def _samples(book: Book, why: str) -> Iterator[Sample]:
    """What was lost on one route, and the sentence that says why."""
    route = book.ledger.label
    cited = (*(write.ref for write in book.lost[:EVIDENCE]), book.survivor.ref)
    lasted_s = (book.lost[-1].done_ns - book.lost[0].done_ns) / S if book.lost else 0.0
    for measure, value in (
        (lost_writes, len(book.lost)),
        (lost_without_warning, len(book.lost) - len(book.warned)),
        (lost_s, lasted_s),
        (duplicated_writes, book.account.duplicated),
    ):
        evidence = (book.survivor.ref,) if measure is duplicated_writes else cited
        said = "" if measure is duplicated_writes else why
        yield Sample(measure.name, "", float(value), evidence=evidence, route=route, why=said)
