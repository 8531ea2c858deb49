"""The reader of one route: looks every now and then which rows are there, and records the ids that it had not seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import psycopg

from lab import clock
from lab.history import Recorder
from lab.inside.alarm import Alarm
from lab.inside.writing.attempt import timeline_of
from lab.inside.writing.line import Line, Unconnected
from lab.inside.writing.pace import Pace
from lab.inside.writing.ranges import ranges_of

OVERLAP = 2000
"""Numbers that are looked at again: they are given before the commit, so a small one may show after a large one."""

WHERE = """select host(inet_server_addr()),
case when pg_is_in_recovery() then '' else pg_walfile_name(pg_current_wal_insert_lsn()) end"""
SELECT = "select id, n from writes where n > %s and route = %s"


class Reader:
    """Reads with a connection of its own, found in the same way as the writers'."""

    def __init__(
        self,
        label: str,
        every_s: float,
        limit_s: float,
        pace: Pace,
        connect: Callable[[], Line],
        node_of: dict[str, str],
        recorder: Recorder,
    ) -> None:
        """`limit_s`: how long one reading may take before its connection is given up."""
        self._label = label
        self._every_ns = int(every_s * clock.S)
        self._limit_s = limit_s
        self._pace = pace
        self._connect = connect
        self._node_of = node_of
        self._recorder = recorder
        self.over = False
        """Nothing is recorded any more: what it reads now would stand in the next trial's history."""
        self._line: Line | None = None
        self._seen: set[int] = set()
        self._server: tuple[str, str] = ("", "")
        self._most = 0

    def run(self) -> None:
        """Read for ever."""
        alarm = Alarm()
        next_ns = clock.now_ns()
        try:
            while True:
                self.read_once()
                next_ns = max(next_ns + self._every_ns, clock.now_ns())
                alarm.sleep_until(next_ns)
        finally:
            alarm.close()
            self.close()

    def read_once(self) -> None:
        """One reading; one that fails is left out, and the next one has a new connection."""
        try:
            if self._line is None or not self._line.alive():
                self.close()
                self._pace.await_turn(0)
                self._line = self._connect()
            with gevent.Timeout(self._limit_s):
                self._read(self._line.cursor)
        except (Unconnected, psycopg.Error, gevent.Timeout):
            self.close()

    def _read(self, cursor: psycopg.Cursor[Any]) -> None:
        server: Any = cursor.execute(WHERE).fetchone()
        if server != self._server:
            self._server, self._most = server, 0  # another server may have given the same numbers to other rows
        rows = cursor.execute(SELECT, (self._most - OVERLAP, self._label)).fetchall()
        now_ns = clock.now_ns()
        fresh = {row[0] for row in rows} - self._seen
        self._most = max([self._most, *(row[1] for row in rows)])
        if fresh and not self.over:
            self._seen |= fresh
            address, wal_file = self._server
            self._recorder.record(
                "read",
                now_ns,
                route=self._label,
                node=self._node_of.get(address, address),
                timeline=timeline_of(wal_file) if wal_file else None,
                ranges=ranges_of(fresh),
            )

    def close(self) -> None:
        """Let go of the connection."""
        if self._line is not None:
            self._line.drop("closed")
            self._line.close()
            self._line = None
