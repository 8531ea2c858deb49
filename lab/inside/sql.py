"""Sessions with Postgres servers in which nothing lasts longer than it may: for the controller and the registrar.

A server that is paused keeps its TCP connections alive and a host without power says nothing at all, so every use has
its own limit. libpq's connect_timeout knows no less than 2 s, and a psycopg query that is cancelled first asks the
server to stop, up to 5 s where it is dead: here the socket is shut down instead, which ends a query at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import psycopg

PORT = 5432
DATABASE = "lab"
USER = "postgres"
"""A superuser: `max_connections` keeps some room for it, so it gets in where clients fill a server."""

Row = tuple[Any, ...]

_WORDS = (
    ("refused", "refused"),
    ("timeout", "timeout"),
    ("timed out", "timeout"),
    ("no route", "unreachable"),
    ("unreachable", "unreachable"),
    ("starting up", "starting"),
    ("not yet accepting", "starting"),
    ("shutting down", "stopping"),
    ("reset by peer", "reset"),
    ("closed the connection", "reset"),
    ("connection is lost", "reset"),
    ("socket closed", "reset"),
    ("terminating connection", "terminated"),
)


class Failed(Exception):
    """A server did not do what it was asked; the message is one word where there is one: refused, timeout, reset..."""


def why(error: BaseException) -> str:
    """The one word of an error, else its first line."""
    text = str(error)
    lowered = text.lower()
    first = text.strip().partition("\n")[0]
    return next((word for sign, word in _WORDS if sign in lowered), first or type(error).__name__)


class Session:
    """One connection, autocommit; used by one task at a time."""

    def __init__(self, connection: psycopg.AsyncConnection[Row]) -> None:
        self._connection = connection
        self._running: asyncio.Task[list[Row]] | None = None
        self._over = False

    @classmethod
    async def open(cls, address: str, *, timeout_s: float, name: str, port: int = PORT) -> Session:
        """A new connection to an address (not a name: nothing is resolved). Raises Failed."""
        try:
            async with asyncio.timeout(timeout_s):
                return cls(
                    await psycopg.AsyncConnection.connect(
                        host=address,
                        port=port,
                        dbname=DATABASE,
                        user=USER,
                        application_name=name,
                        sslmode="disable",
                        gssencmode="disable",
                        autocommit=True,
                        prepare_threshold=None,
                    )
                )
        except TimeoutError:
            raise Failed("timeout") from None
        except psycopg.Error as error:
            raise Failed(why(error)) from error

    @property
    def alive(self) -> bool:
        """Whether it can be used again, as far as is known here."""
        return not self._over and not self._connection.closed

    async def rows(self, query: str, timeout_s: float) -> list[Row]:
        """What a statement returns; empty where it returns nothing. Raises Failed; after a timeout it is closed."""
        if not self.alive:
            raise Failed("closed")
        task = self._running = asyncio.ensure_future(self._rows(query))
        try:
            await asyncio.wait({task}, timeout=timeout_s)
            if not task.done():
                raise Failed("timeout")
            return task.result()
        except psycopg.Error as error:
            raise Failed(why(error)) from error
        finally:
            if not task.done():  # the time is over, or the asker was cancelled
                self.close()

    def close(self) -> None:
        """End it now, whatever it is doing; nobody waits."""
        self._over = True
        if self._running is None or self._running.done():
            self._connection.pgconn.finish()
            return
        # The task sleeps on the socket: waking it by shutting that down is safe, taking it away is not.
        try:
            with socket.socket(fileno=os.dup(self._connection.pgconn.socket)) as line:
                line.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.Error):
            pass  # there is no socket any more
        self._running.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[list[Row]]) -> None:
        if not task.cancelled():
            task.exception()  # nobody wants it any more
        self._connection.pgconn.finish()

    async def _rows(self, query: str) -> list[Row]:
        cursor = await self._connection.execute(query.encode())
        return await cursor.fetchall() if cursor.description else []


def literal(text: str) -> str:
    """Text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
