"""The supervisor's own connection to its server, which never waits for longer than it says."""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping

import psycopg
from psycopg import pq
from psycopg.pq import abc

from lab.clock import MS, S, now_ns
from lab.inside.database.asked import CONTROL_FILE, QUESTION, SENDERS, Observed, read
from lab.inside.database.places import PORT, SOCKETS

SILENCE_S = 1.0
DSN = f"host={SOCKETS} port={PORT} user=postgres dbname=postgres application_name=lab-watch".encode()
NAME = b"look"


class Silent(Exception):
    """The server did not answer in time: it may be stopped, or overloaded."""


class Refused(Exception):
    """Nobody accepts connections, or the connection broke."""


class Look:
    """Asks the server what it is. Connects when it must."""

    def __init__(self, nodes: Mapping[str, str]) -> None:
        """`nodes`: the node behind the host of an upstream."""
        self._nodes = nodes
        self._connection: abc.PGconn | None = None
        self._senders: bytes | None = None
        self._streaming: tuple[str, ...] = ()
        self._sync: tuple[str, ...] = ()
        self._timeline: int | None = None

    @property
    def socket(self) -> int | None:
        """Where it shows at once that the server closed the connection; None while there is none."""
        return None if self._connection is None else self._connection.socket

    def __call__(self) -> Observed:
        """What the server is now. Raises Silent, Refused; the next look connects anew then."""
        deadline_ns = now_ns() + int(SILENCE_S * S)
        if self._connection is not None:
            try:
                return self._look(deadline_ns)
            except Refused:
                pass  # this connection was ended, perhaps this one alone: a new one tells
        return self._look(deadline_ns)

    def _look(self, deadline_ns: int) -> Observed:
        try:
            if self._connection is None:
                self._connection = _connect(deadline_ns)
                self._begin(deadline_ns)
            answer = self._ask(lambda connection: connection.send_query_prepared(NAME, []), deadline_ns)
            row = [answer.get_value(0, column) for column in range(answer.nfields)]
            if row[5] != self._senders:
                named = self._name_senders(deadline_ns)
                # A sender that was between two states when its name was asked for must be asked for again, although
                # the next look may find it as this one did: a standby that changes its timeline is such a one.
                self._senders = row[5] if named == (row[5] or b"").count(b"streaming") else None
        except (Silent, Refused):
            self._close()
            raise
        except psycopg.Error as error:
            self._close()
            raise Refused(str(error)) from error
        seen = read(row, self._nodes, self._timeline, self._streaming, self._sync)
        self._timeline = seen.timeline
        return seen

    def _begin(self, deadline_ns: int) -> None:
        self._senders, self._streaming, self._sync = None, (), ()
        told = self._ask(lambda connection: connection.send_query(CONTROL_FILE), deadline_ns).get_value(0, 0)
        # A standby's own is in its control file until its receiver tells a newer one.
        self._timeline = max(int(told or 0), self._timeline or 0) or None
        self._ask(lambda connection: connection.send_prepare(NAME, QUESTION), deadline_ns)

    def _name_senders(self, deadline_ns: int) -> int:
        """Who streams now; how many that are."""
        answer = self._ask(lambda connection: connection.send_query(SENDERS), deadline_ns)
        found = [((answer.get_value(n, 0) or b"").decode(), answer.get_value(n, 1)) for n in range(answer.ntuples)]
        self._streaming = tuple(sorted(name for name, _ in found))
        self._sync = tuple(sorted(name for name, state in found if state in (b"sync", b"quorum")))
        return len(found)

    def _ask(self, send: Callable[[abc.PGconn], object], deadline_ns: int) -> abc.PGresult:
        connection = self._connection
        assert connection is not None
        send(connection)
        answer: abc.PGresult | None = None
        while True:
            while connection.is_busy():
                _await(connection, select.POLLIN, deadline_ns)
                connection.consume_input()
            part = connection.get_result()
            if part is None:
                break
            answer = part
        if answer is None or answer.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            raise Refused(connection.get_error_message())
        return answer

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.finish()
            self._connection = None


def _connect(deadline_ns: int) -> abc.PGconn:
    connection = pq.PGconn.connect_start(DSN)
    step: int = pq.PollingStatus.WRITING
    while step not in (pq.PollingStatus.OK, pq.PollingStatus.FAILED):
        if connection.status == pq.ConnStatus.BAD:
            break
        try:
            _await(connection, select.POLLOUT if step == pq.PollingStatus.WRITING else select.POLLIN, deadline_ns)
        except Silent:
            connection.finish()
            raise
        step = connection.connect_poll()
    if connection.status != pq.ConnStatus.OK:
        told = connection.get_error_message()
        connection.finish()
        raise Refused(told)
    return connection


def _await(connection: abc.PGconn, what: int, deadline_ns: int) -> None:
    waiting = select.poll()
    waiting.register(connection.socket, what)
    if not waiting.poll(max(0, (deadline_ns - now_ns()) // MS)):
        raise Silent
