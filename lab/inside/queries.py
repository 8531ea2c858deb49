"""One short conversation of an agent with a PostgreSQL server, bounded in time also against one that stands still.

libpq waits for no less than 2 s while it connects, and for ever while it reads; so the socket is shut at the deadline.
(Those who watch servers all the time have lab.inside.sql.)
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

PORT = 5432
CONNECT_LEAST_S = 2


@contextmanager
def session(
    deadline: float, host: str, port: int = PORT, user: str = "postgres", database: str = "lab"
) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """An autocommit connection that breaks at `deadline` (time.monotonic()); connecting alone may take 2 s.

    Raises ConnectionRefusedError, TimeoutError, or OSError with the server's first line.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    late = threading.Event()
    try:
        with psycopg.connect(
            host=host,
            port=port,
            user=user,
            dbname=database,
            autocommit=True,
            connect_timeout=max(CONNECT_LEAST_S, math.ceil(left)),
            application_name="lab",
            sslmode="disable",
            gssencmode="disable",
        ) as connection:
            own = socket.socket(fileno=os.dup(connection.fileno()))
            timer = threading.Timer(max(0.0, deadline - time.monotonic()), _shut, (own, late))
            timer.daemon = True
            timer.start()
            try:
                yield connection
            finally:
                timer.cancel()
                own.close()
    except psycopg.Error as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        if late.is_set() or "timeout expired" in text:
            raise TimeoutError(text) from error
        if "Connection refused" in text:
            raise ConnectionRefusedError(text) from error
        raise OSError(text) from error


def query(
    deadline: float, host: str, query: str, port: int = PORT, user: str = "postgres", database: str = "lab"
) -> list[list[Any]]:
    """The rows of one statement, as JSON can hold them (what is no number, text, bool or null comes as text)."""
    with session(deadline, host, port, user, database) as connection:
        cursor = connection.execute(query.encode())
        return [[plain(value) for value in row] for row in cursor.fetchall()] if cursor.description else []


def plain(value: object) -> object:
    """A value as JSON can hold it."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _shut(own: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        own.shutdown(socket.SHUT_RDWR)
