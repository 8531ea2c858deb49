"""One writer: a connection of a route's pool, and the writes that go over it, one after another.

A pooled worker without a connection takes no writes; it connects first. A reconnecting one takes a write, opens a new
connection for it and closes that again.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent
import psycopg
from gevent.event import Event

from lab import clock
from lab.inside.writing.attempt import Answer, attempt
from lab.inside.writing.book import Write
from lab.inside.writing.line import Line, Unconnected
from lab.inside.writing.pool import Pool

BATCH = 20
BATCH_S = 0.25
"""Where an acknowledgement does not wait for the commit: so many writes share a transaction, or those of so long."""


class Worker:
    """The writer `number` of a trial; `connect` opens a new connection of its route, or raises Unconnected."""

    def __init__(
        self, number: int, start_ns: int, pool: Pool, connect: Callable[[], Line], node_of: dict[str, str]
    ) -> None:
        self.number = number
        self.start_ns = start_ns
        self.inbox: Write | None = None
        self.called = Event()
        self._pool = pool
        self._connect = connect
        self._node_of = node_of
        self._line: Line | None = None
        self._failed_ns = 0
        self._batch = 0
        self._commit_ns = 0

    def run(self) -> None:
        """Write for ever."""
        if self._pool.conduct.hold == "reconnecting":
            while True:
                self._write_anew()
        while True:
            line = self._line or self._connected()
            write = self._next(line)
            if write is None:
                continue
            if not line.alive():
                self._let_go()  # it broke while it was idle: certainly not sent
                self._pool.put_back(write)
            else:
                self._perform(write, line)

    def _next(self, line: Line) -> Write | None:
        """The next write, or None when a commit was due first and has been made."""
        if not self._batch:
            return self._pool.take(self)
        left_ns = self._commit_ns - clock.now_ns()
        if left_ns > 0 and self._batch < BATCH and (write := self._pool.take(self, left_ns / clock.S)) is not None:
            return write
        self._commit(line)
        return None

    def _write_anew(self) -> None:
        write = self._pool.take(self)
        assert write is not None
        line = self._connected(write)
        while write is not None and write.done:  # it took too long; what waits by now is no worse off
            write = self._pool.take_waiting()
        if write is not None:
            self._perform(write, line)
        self._let_go()

    def _connected(self, write: Write | None = None) -> Line:
        """A new connection, however long it takes; `write` is told why it waits."""
        pool = self._pool
        while True:
            pool.pace.await_turn(self._failed_ns)
            began_ns = clock.now_ns()
            try:
                self._line = self._connect()
            except Unconnected as error:
                pool.trouble = str(error)
                if write is not None and not write.attempt:
                    write.why = f"no_connection: {error}"
                self._failed(clock.now_ns() - began_ns)
                continue
            pool.connected += 1
            return self._line

    def _failed(self, took_ns: int = 0) -> None:
        self._failed_ns = clock.now_ns()
        self._pool.pace.failed(took_ns)

    def _perform(self, write: Write, line: Line) -> None:
        """One attempt, and what becomes of the write and of the connection."""
        pool, book = self._pool, self._pool.book
        statement = pool.conduct.acknowledge == "statement"
        book.sending(write, self.number, line.node)
        write.flying = line
        if statement and not self._batch:
            self._begin(line)
        answer = attempt(line, write.id, write.attempt, book.label)
        write.flying = None
        if answer.outcome == "ok":
            line.node = write.node = self._node_of.get(answer.address, answer.address)
            write.timeline, write.lsn, write.warned = answer.timeline, answer.lsn, line.warned
            self._batch += statement
            book.finish(write, "ok")
            pool.pace.succeeded()
            self._failed_ns = 0
        else:
            self._failed()
            self._not_done(write, answer)
        line.settle()
        if not answer.keep or line.dropped:
            self._let_go()

    def _not_done(self, write: Write, answer: Answer) -> None:
        pool, conduct = self._pool, self._pool.conduct
        if write.done:
            return
        pool.book.again(write, answer.outcome, answer.why)
        may = answer.outcome == "fail" or write.doubts <= conduct.retries
        left_s = (write.deadline_ns - clock.now_ns()) / clock.S
        if may and not write.expired and left_s > conduct.retry_pause_s:
            pool.again_later(write)
        else:
            pool.book.finish(write, answer.outcome, answer.why)

    # -- an acknowledgement that does not wait for the commit ------------------------------------------------------

    def _begin(self, line: Line) -> None:
        """Open a transaction for this write and the next ones; where that fails, the INSERT will say so."""
        self._commit_ns = clock.now_ns() + int(BATCH_S * clock.S)
        self._told(line, "begin")

    def _commit(self, line: Line) -> None:
        """End the transaction; nobody hears how that went, which is the mistake."""
        self._batch = 0
        self._told(line, "commit")
        if line.dropped or not line.alive():
            self._let_go()

    def _told(self, line: Line, statement: str) -> None:
        try:
            with gevent.Timeout(self._pool.conduct.deadline_s):
                line.cursor.execute(statement)
        except (psycopg.Error, gevent.Timeout) as error:
            line.drop(f"{statement}: {type(error).__name__}")

    # ------------------------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """Close the connection; what was in an open transaction is gone."""
        if self._line is not None:
            self._line.close()
            self._line = None
            self._batch = 0
            self._pool.connected -= 1
            self._pool.trouble = "connecting again"

    def close(self) -> None:
        """Let go of everything; run() is over by then. A program that ends in order commits what it has begun."""
        if self._batch and self._line is not None and not self._line.dropped:
            self._commit(self._line)
        self._let_go()
