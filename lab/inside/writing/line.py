"""One connection to a server, which can be let go of at any instant without waiting for anybody."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

import gevent
import psycopg
from gevent.monkey import get_original
from psycopg.generators import connect
from psycopg.waiting import wait_conn

from lab.inside.paths import Target
from lab.inside.writing.conduct import Conduct

_plain_socket = get_original("socket", "socket")

_WORDS = (
    ("session is read-only", "read_only"),
    ("connection refused", "refused"),
    ("too many", "too_many_clients"),
    ("remaining connection slots", "too_many_clients"),
    ("starting up", "starting"),
    ("shutting down", "shutting_down"),
    ("not yet accepting connections", "starting"),
    ("recovery mode", "recovering"),
    ("timeout expired", "timeout"),
    ("connection timed out", "timeout"),
    ("no route to host", "unreachable"),
    ("network is unreachable", "unreachable"),
    ("server closed the connection", "reset"),
    ("connection reset", "reset"),
    ("broken pipe", "reset"),
)
"""What libpq says of a connection that did not come to be, and the word that we record for it."""

WAKE_S = 0.1
"""How often psycopg looks whether it still waits for something."""

WARNS_AT = "SyncRepWaitForLSN"
"""The server's function that gives up waiting for standbys; its message is translated, its name is not."""


class Unconnected(Exception):
    """No connection came to be; the message is a word or two."""


def open_line(target: Target, conduct: Conduct, label: str, nodes: Mapping[str, str]) -> Line:
    """A connection to the first host that takes it. `nodes` has the node of each address. Raises Unconnected.

    The hosts are tried one by one, as psycopg does it with a list (libpq's own walk knows no timeout unless it blocks),
    but without its taking apart and putting together of the string, which costs as much as the rest.
    """
    words: dict[str, None] = {}
    for host in target.hosts:
        conninfo = target.conninfo(
            host,
            dbname=conduct.database,
            user=conduct.user,
            tcp_user_timeout=int(conduct.tcp_user_timeout_s * 1000),
            sslmode="disable",
            gssencmode="disable",
            application_name=f"writers {label}",
        )
        try:
            pgconn = wait_conn(connect(conninfo), interval=WAKE_S, timeout=conduct.connect_timeout_s)
        except psycopg.Error as error:
            words[in_words(str(error))] = None
            continue
        connection: psycopg.Connection[tuple[object, ...]] = psycopg.Connection(pgconn)
        connection.autocommit = True
        if conduct.hold == "reconnecting":
            connection.prepare_threshold = None
        return Line(connection, nodes.get(host[1]))
    raise Unconnected(", ".join(words))


def in_words(text: str) -> str:
    """Why a connection did not come to be: "refused"; what has no word of its own as libpq says it."""
    lower = text.lower()
    return next((word for part, word in _WORDS if part in lower), text.strip().partition("\n")[0][:120])


class Line:
    """A connection, the server at its other end as far as that is known, and whether it warned."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], node: str | None) -> None:
        self.connection = connection
        self.node = node
        self.warned = False
        self.dropped = ""
        """Why it was let go of, where it was."""
        self.cursor = connection.cursor()
        connection.add_notice_handler(self._noticed)
        # A second descriptor of the same socket: libpq's own must not be closed under its feet.
        self._socket = _plain_socket(fileno=os.dup(connection.fileno()))
        self._canceller: gevent.Greenlet | None = None

    def _noticed(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.source_function == WARNS_AT:
            self.warned = True

    def alive(self) -> bool:
        """Whether the other side has not said goodbye; one system call, and it says nothing of a silent server."""
        try:
            first: bytes = self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return first not in (b"", b"E")

    def drop(self, why: str) -> None:
        """Let go of it now; whoever waits for an answer on it is told that it broke. Never blocks."""
        self.dropped = self.dropped or why
        with suppress(OSError):  # the other side was faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def cancel(self, limit_s: float) -> None:
        """Ask the server, over a connection of its own, to cancel what runs on this one. Returns at once."""
        self._canceller = gevent.spawn(self._cancel, limit_s)

    def _cancel(self, limit_s: float) -> None:
        with suppress(psycopg.Error):  # whoever sent the statement waits for its end anyway
            self.connection.cancel_safe(timeout=limit_s)

    def settle(self) -> None:
        """Wait for the end of a cancel, which would otherwise hit the next statement."""
        if self._canceller is not None:
            self._canceller.join()
            self._canceller = None

    def close(self) -> None:
        """Say goodbye, where that is possible without waiting, and close."""
        if self._canceller is not None:
            self._canceller.kill(block=False)
        self.connection.close()
        self._socket.close()
