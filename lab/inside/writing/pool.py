"""The pool of one route: writes that wait, workers that are idle, and the deadline of everything that is open.

A write that is due goes to the worker that has been idle for longest; with none it waits, until one is or until its
deadline. So the pool is as wide as it was made, and what it cannot take in time is on record as never sent.

After an outage the queue is as long as the deadline, and its first writes have next to no time left. To send those
would end each of them in flight and cost a connection each, for ever: they are left to expire (LEAST_LEFT).
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import gevent
from gevent.event import Event

from lab import clock
from lab.inside.alarm import Alarm
from lab.inside.writing.book import Book, Write
from lab.inside.writing.conduct import Conduct
from lab.inside.writing.line import Line
from lab.inside.writing.pace import Pace

LEAST_LEFT = 0.25
"""The share of its deadline that a write must have left to be sent."""


class Taker(Protocol):
    """A worker, as the pool knows it."""

    inbox: Write | None
    called: Event


class Pool:
    """One route's writes and workers."""

    def __init__(self, book: Book, conduct: Conduct) -> None:
        self.book = book
        self.conduct = conduct
        self.pace = Pace(conduct.retry_pause_s)
        self.connected = 0
        """Workers that have a connection."""
        self.trouble = "not connected yet"
        """Why the last connection that was tried did not come to be."""
        self._deadline_ns = int(conduct.deadline_s * clock.S)
        self._least_left_ns = int(LEAST_LEFT * self._deadline_ns)
        self._queue: deque[Write] = deque()
        self._idle: deque[Taker] = deque()
        self._watched: deque[Write] = deque()
        self._over = False

    def arrive(self, due_ns: int) -> None:
        """A write is due."""
        write = self.book.begin(due_ns)
        self._watched.append(write)
        if self._idle:
            self._hand(self._idle.popleft(), write)
        else:
            self._queue.append(write)

    def put_back(self, write: Write) -> None:
        """A write that a worker took and could not send, or that is to be tried again: it is the first in the queue."""
        if write.done or self._over:
            return
        if self._idle:
            self._hand(self._idle.popleft(), write)
        else:
            self._queue.appendleft(write)

    def again_later(self, write: Write) -> None:
        """The same after the pause."""
        gevent.spawn_later(self.conduct.retry_pause_s, self.put_back, write)

    @staticmethod
    def _hand(worker: Taker, write: Write) -> None:
        worker.inbox = write
        worker.called.set()

    def take(self, worker: Taker, wait_s: float | None = None) -> Write | None:
        """The next write for a worker, as soon as there is one; None after `wait_s` without."""
        while (write := self.take_waiting()) is None:
            write = self._handed(worker, wait_s)
            if write is None or not write.done:  # else its time ran out, or the load ended, while it was handed over
                return write
        return write

    def _handed(self, worker: Taker, wait_s: float | None) -> Write | None:
        worker.inbox = None
        worker.called.clear()
        self._idle.append(worker)
        worker.called.wait(wait_s)
        if not worker.called.is_set() and worker in self._idle:
            self._idle.remove(worker)
        return worker.inbox

    def take_waiting(self) -> Write | None:
        """The first write that waits and is still worth sending; None where none is."""
        worth_ns = clock.now_ns() + self._least_left_ns
        while self._queue:
            write = self._queue.popleft()
            if not write.done and write.deadline_ns > worth_ns:
                return write
        return None

    # -- deadlines -----------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """End what is open when its deadline comes, for ever. Deadlines come in the order in which writes are due."""
        alarm = Alarm()
        try:
            while True:
                now_ns = clock.now_ns()
                self.expire(now_ns)
                # What is not due yet has more time left than this.
                next_ns = self._watched[0].deadline_ns if self._watched else now_ns + self._deadline_ns // 2
                alarm.sleep_until(next_ns)
        finally:
            alarm.close()

    def expire(self, now_ns: int) -> None:
        """End everything whose deadline has passed, in the way that this route does."""
        while self._watched and (self._watched[0].done or self._watched[0].deadline_ns <= now_ns):
            write = self._watched.popleft()
            if write.done:
                continue
            if write.flying is None:
                self.book.finish(write, "fail", write.why or self._unsent())
            elif self.conduct.on_deadline == "close":
                line = write.flying
                self.book.finish(write, "info", "deadline")
                line.drop("deadline")
            else:
                self.book.late(write)
                if self.conduct.on_deadline == "cancel":
                    write.flying.cancel(self.conduct.connect_timeout_s)
                    gevent.spawn_later(self.conduct.connect_timeout_s, self._give_up, write, write.flying)

    def _give_up(self, write: Write, line: Line) -> None:
        """A cancel that nobody answers, not in the time of a connect either, ends with the connection."""
        if not write.done and write.flying is line:
            write.flying.drop("cancel_unanswered")

    def _unsent(self) -> str:
        return "pool_exhausted" if self.connected else f"no_connection: {self.trouble}"

    def end(self) -> None:
        """Nothing is handed out any more; what is open is recorded."""
        self._over = True
        self._queue.clear()
        self._idle.clear()
        self.book.end()
