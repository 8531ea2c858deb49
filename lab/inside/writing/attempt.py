"""One attempt at one write: an INSERT in a transaction of its own, and what its answer or its silence means."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
from psycopg.pq import ConnStatus, TransactionStatus

from lab.inside.writing.line import Line

INSERT = """insert into writes(id, attempt, route) values (%s, %s, %s)
returning host(inet_server_addr()), pg_walfile_name(pg_current_wal_insert_lsn()), pg_current_wal_insert_lsn()::text"""

READ_ONLY = "25006"
CANCELED = "57014"


class Answer(NamedTuple):
    """What came of an attempt. `keep`: the connection can take another one."""

    outcome: str
    why: str = ""
    keep: bool = True
    address: str = ""
    timeline: int | None = None
    lsn: int | None = None


def lsn_of(text: str) -> int:
    """A position in the WAL, "16/B374D848", as a number."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def timeline_of(wal_file: str) -> int:
    """The timeline that the name of a WAL file begins with."""
    return int(wal_file[:8], 16)


def attempt(line: Line, number: int, tries: int, route: str) -> Answer:
    """Insert the row and wait for the answer. With psycopg's autocommit the answer comes after the commit."""
    line.warned = False
    try:
        line.cursor.execute(INSERT, (number, tries, route))
        row: Any = line.cursor.fetchone()
    except psycopg.Error as error:
        return judge(error, line)
    address, wal_file, lsn = row
    return Answer("ok", "", True, address, timeline_of(wal_file), lsn_of(lsn))


def judge(error: psycopg.Error, line: Line) -> Answer:
    """What an error means. Only an error that the server answered, on a connection that lives on, means "not done":
    a server that ends a connection may do so after the commit."""
    pgconn = line.connection.pgconn
    status = pgconn.transaction_status if pgconn.status == ConnStatus.OK else TransactionStatus.UNKNOWN
    if error.sqlstate is None or status not in (TransactionStatus.IDLE, TransactionStatus.INERROR):
        why = line.dropped or (f"ended {error.sqlstate}" if error.sqlstate else "reset")
        return Answer("info", why, keep=False)
    if error.sqlstate == READ_ONLY:
        return Answer("fail", "read_only", keep=False)  # a server that no longer leads: connect anew
    why = "canceled" if error.sqlstate == CANCELED else f"sql {error.sqlstate}"
    return Answer("fail", why, keep=status == TransactionStatus.IDLE)
