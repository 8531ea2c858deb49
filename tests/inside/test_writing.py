"""The writers' bookkeeping: ids, outcomes, the streak, the queue, deadlines and pauses; without a database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event as Call

from lab import clock
from lab.clock import MS, S
from lab.history import History, Recorder
from lab.inside.ledger import Ledger
from lab.inside.paths import Target, maker_of
from lab.inside.writing.attempt import lsn_of, timeline_of
from lab.inside.writing.book import Book, Write
from lab.inside.writing.conduct import Conduct, split
from lab.inside.writing.line import in_words
from lab.inside.writing.pace import Pace
from lab.inside.writing.pool import Pool
from lab.inside.writing.ranges import ranges_of


class Books:
    """A book, and what was recorded."""

    def __init__(self, folder: Path) -> None:
        self.recorder = Recorder(folder, "clients")
        self.ledger = Ledger(self.recorder, clock.now_ns())
        self.book = Book("a", 1.0, self.recorder, self.ledger)

    def writes(self) -> list[dict[str, Any]]:
        """The recorded writes in the order in which they ended."""
        return [event.fields for event in History.read([self.recorder.path]).of("write")]

    def outcomes(self) -> list[tuple[int, str, str]]:
        """(id, outcome, why) in that order."""
        return [(w["id"], w["outcome"], w["why"]) for w in self.writes()]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A book that closes its file."""
    found = Books(tmp_path)
    yield found
    found.recorder.close()


class FakeLine:
    """A connection that remembers what was done to it."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def drop(self, why: str) -> None:
        self.did.append(why)

    def cancel(self, limit_s: float) -> None:
        self.did.append(f"cancel {limit_s:g}")


class FakeWorker:
    """Somebody who takes writes."""

    def __init__(self) -> None:
        self.inbox: Write | None = None
        self.called = Call()


def test_ids_count_from_1_and_every_write_is_recorded_once(books: Books) -> None:
    """The second word about a write is not heard."""
    first, second = books.book.begin(clock.now_ns()), books.book.begin(clock.now_ns())
    books.book.sending(first, 3, "postgres1")
    books.book.finish(first, "ok")
    books.book.finish(first, "info", "late")
    books.book.finish(second, "fail", "pool_exhausted")
    assert books.outcomes() == [(1, "ok", ""), (2, "fail", "pool_exhausted")]
    assert [(w["client"], w["node"], w["attempt"], w["sent_ns"] is None) for w in books.writes()] == [
        (3, "postgres1", 1, False),
        (None, None, 1, True),
    ]
    assert (books.ledger.due, books.ledger.sent, books.ledger.done) == (2, 1, 2)


def test_a_doubt_outlives_a_later_failure_and_not_an_acknowledgement(books: Books) -> None:
    """Broken once, then refused: still nobody knows. Broken once, then acknowledged: acknowledged."""
    for outcome in ("fail", "ok"):
        write = books.book.begin(clock.now_ns())
        books.book.sending(write, 1, "postgres1")
        books.book.again(write, "info", "reset")
        books.book.sending(write, 2, "postgres2")
        books.book.finish(write, outcome, "read_only" if outcome == "fail" else "")
    assert books.outcomes() == [(1, "info", "reset"), (2, "ok", "")]
    for told in books.writes():
        ((number, node, sent_ns, outcome, why),) = told["tried"]
        assert (number, node, outcome, why, told["attempt"]) == (1, "postgres1", "info", "reset", 2)
        assert told["sent_ns"] == sent_ns


def test_an_attempt_that_was_the_last_one_after_all_is_not_told_twice(books: Books) -> None:
    """It was to be tried again, and its time ran out first: one attempt, and what became of it."""
    write = books.book.begin(clock.now_ns())
    books.book.sending(write, 1, "postgres1")
    books.book.again(write, "fail", "read_only")
    books.book.finish(write, "fail", write.why)
    (told,) = books.writes()
    assert (told["attempt"], told["tried"], told["why"]) == (1, [], "read_only")


def test_the_streak_follows_the_order_in_which_writes_are_due(books: Books) -> None:
    """One that is open holds up those behind it; one that fails, or is late, begins it anew."""
    writes = [books.book.begin(clock.now_ns() + i) for i in range(6)]
    for write in (writes[0], writes[2], writes[3]):
        books.book.sending(write, 1, "postgres1")
        books.book.finish(write, "ok")
    assert (books.book.status()["streak"], books.book.status()["acknowledged"]) == (1, 3)
    books.book.finish(writes[1], "info", "reset")
    assert (books.book.status()["streak"], books.book.status()["since_ns"]) == (2, writes[2].due_ns)
    books.book.late(writes[4])
    assert books.book.status()["streak"] == 0
    books.book.finish(writes[4], "ok")  # acknowledged all the same, and not in time
    books.book.finish(writes[5], "ok")
    status = books.book.status()
    assert (status["streak"], status["since_ns"], status["acknowledged"]) == (1, writes[5].due_ns, 5)


def test_an_acknowledgement_after_the_deadline_is_ok_and_ends_the_streak(books: Books) -> None:
    """Whoever judges sees from the instants that it was late."""
    write = books.book.begin(clock.now_ns() - 2 * S)
    books.book.finish(write, "ok")
    assert books.outcomes() == [(1, "ok", "")] and books.book.status()["streak"] == 0


def test_what_is_open_at_the_end_is_in_doubt_only_if_it_was_sent(books: Books) -> None:
    """In flight or doubted before: info. Waiting: fail."""
    flying, waiting, doubted = (books.book.begin(clock.now_ns()) for _ in range(3))
    books.book.sending(flying, 1, "postgres1")
    flying.flying = FakeLine()
    books.book.sending(doubted, 2, "postgres1")
    books.book.again(doubted, "info", "reset")
    books.book.end()
    assert waiting.done
    assert books.outcomes() == [(1, "info", "ended"), (2, "fail", "ended"), (3, "info", "ended")]


def test_the_worker_that_has_been_idle_for_longest_gets_the_next_write(books: Books) -> None:
    """So every connection is used, and a dead one found; what nobody takes waits, in order."""
    pool = Pool(books.book, Conduct())
    workers = [FakeWorker(), FakeWorker()]
    taking = [gevent.spawn(pool.take, worker) for worker in workers]
    gevent.sleep(0)
    for _ in range(3):
        pool.arrive(clock.now_ns())
    gevent.joinall(taking, timeout=5)
    assert [greenlet.value.id for greenlet in taking] == [1, 2]
    pool.put_back(taking[1].value)
    taken = [pool.take_waiting(), pool.take_waiting()]
    assert [write.id for write in taken if write is not None] == [2, 3] and pool.take_waiting() is None


def test_nobody_is_handed_what_is_over(books: Books) -> None:
    """Neither out of the queue nor on the way to the worker; a wait may end without anything."""
    pool = Pool(books.book, Conduct())
    pool.arrive(clock.now_ns())
    pool.expire(clock.now_ns() + 2 * S)
    assert pool.take_waiting() is None
    worker = FakeWorker()
    taking = gevent.spawn(pool.take, worker, 0.2)
    gevent.sleep(0)
    pool.arrive(clock.now_ns())
    pool.expire(clock.now_ns() + 2 * S)  # before the worker has run
    gevent.joinall([taking], timeout=5)
    assert taking.ready() and taking.value is None
    assert books.outcomes() == [(1, "fail", "no_connection: not connected yet")] * 1 + [
        (2, "fail", "no_connection: not connected yet")
    ]


def test_what_has_next_to_no_time_left_is_not_sent(books: Books) -> None:
    """A quarter of the deadline, or it would only break the connection; it stays open until its deadline."""
    pool = Pool(books.book, Conduct(deadline_s=1.0))
    pool.connected = 1
    pool.arrive(clock.now_ns() - 800 * MS)
    pool.arrive(clock.now_ns() - 500 * MS)
    write = pool.take_waiting()
    assert write is not None and write.id == 2 and not books.writes()
    pool.expire(clock.now_ns() + 250 * MS)
    assert books.outcomes() == [(1, "fail", "pool_exhausted")]


@pytest.mark.parametrize(
    ("on_deadline", "did", "recorded"),
    [
        ("close", ["deadline"], [(1, "info", "deadline")]),
        ("cancel", ["cancel 2"], []),
        ("wait", [], []),
    ],
)
def test_a_write_in_flight_meets_its_deadline_as_its_route_says(
    books: Books, on_deadline: str, did: list[str], recorded: list[Any]
) -> None:
    """Closed and in doubt; or asked to stop; or waited for. In no case does the streak go on."""
    pool = Pool(books.book, Conduct(on_deadline=on_deadline))
    pool.arrive(clock.now_ns() - 500 * MS)
    write = pool.take_waiting()
    assert write is not None
    books.book.sending(write, 1, "postgres1")
    line = write.flying = FakeLine()
    pool.expire(clock.now_ns())
    assert not line.did
    pool.expire(clock.now_ns() + S)
    assert line.did == did and books.outcomes() == recorded and write.done == bool(recorded)
    books.book.finish(write, "ok")
    assert books.book.status()["streak"] == 0


def test_a_route_that_fails_is_tried_in_turns_and_one_that_works_at_once() -> None:
    """After its own pause, a gap after the one before; after the first success without the pause, still in turns."""
    pace = Pace(0.2)
    pace.await_turn(0)
    pace.failed(took_ns=60 * MS)
    began_ns = clock.now_ns()
    pace.await_turn(0)  # somebody who has not failed himself goes at once, and the next one 60 ms later
    assert clock.now_ns() - began_ns < 50 * MS
    pace.await_turn(0)
    assert clock.now_ns() - began_ns >= 55 * MS
    pace.await_turn(clock.now_ns())
    assert clock.now_ns() - began_ns >= 255 * MS
    waiting = [gevent.spawn(pace.await_turn, clock.now_ns() + S) for _ in range(4)]
    gevent.sleep(0)
    began_ns = clock.now_ns()
    pace.succeeded()
    gevent.joinall(waiting, timeout=5)
    assert 190 * MS <= clock.now_ns() - began_ns < 800 * MS and not pace.failing
    began_ns = clock.now_ns()
    pace.await_turn(0)  # who has never failed waits for nobody
    assert clock.now_ns() - began_ns < 50 * MS


def test_ids_become_ranges() -> None:
    """Inclusive, in order, each id once."""
    assert ranges_of([5, 1, 2, 3, 3, 9, 8]) == [[1, 3], [5, 5], [8, 9]] and ranges_of([]) == []


def test_positions_and_timelines_are_numbers() -> None:
    """As the server writes them, in hexadecimal."""
    assert lsn_of("16/B374D848") == 0x16B374D848 and timeline_of("0000000200000016000000B3") == 2


def test_why_a_connection_did_not_come_to_be_is_a_word() -> None:
    """What has none is kept as it is, in one line."""
    assert (
        in_words("connection failed: connection to server at ... failed: Connection refused\n\tIs it up?") == "refused"
    )
    assert in_words("FATAL:  sorry, too many clients already") == "too_many_clients"
    assert in_words("connection failed: session is read-only") == "read_only"
    assert in_words("strange\nthings") == "strange"


def test_a_routes_settings_are_its_conduct_and_its_paths() -> None:
    """What is not conduct is left for the path; a word that nobody knows is refused."""
    conduct, rest = split({"hold": "reconnecting", "deadline_s": 2.0, "port": 5433})
    assert (conduct.hold, conduct.deadline_s, rest) == ("reconnecting", 2.0, {"port": 5433})
    for settings in ({"hold": "loose"}, {"on_deadline": "hope"}, {"acknowledge": "never"}):
        with pytest.raises(ValueError, match="one of"):
            split(dict(settings))
    with pytest.raises(ValueError, match="unknown route 'consul'"):
        maker_of("consul")


def test_a_target_is_a_string_of_libpqs() -> None:
    """Name and address of one host, and whether a standby is passed over."""
    target = Target((("postgres1", "10.0.0.1"), ("postgres2", "10.0.0.2")), 5432, read_write=True)
    told = target.conninfo(target.hosts[1], dbname="lab")
    assert told == ("host='postgres2' hostaddr='10.0.0.2' port='5432' target_session_attrs='read-write' dbname='lab'")
