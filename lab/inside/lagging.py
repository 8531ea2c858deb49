"""How long WAL takes from the primary to this pod's server: measured at the standby, by this agent's own clock.

A small record is committed at the primary without waiting for anybody, and the standby is asked every half millisecond
whether it has received it. So the figure is at most one look and one round trip too long.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import psycopg

from lab import clock
from lab.inside.queries import session

LOOK_EVERY_S = 0.0005
_COMMIT = b"select pg_logical_emit_message(true, 'lab', 'lag')"
_HERE = b"select pg_last_wal_receive_lsn() >= %s::pg_lsn"


def lag(deadline: float, primary: str, samples: int = 5, host: str = "127.0.0.1") -> dict[str, Any]:
    """{lags_s, median_s}: from the acknowledged commit at `primary` until the server at `host` has received it."""
    lags_s: list[float] = []
    with session(deadline, primary) as there, session(deadline, host) as here:
        there.execute(b"set synchronous_commit = local")
        for _ in range(samples):
            there.execute(_COMMIT)
            committed_ns = clock.now_ns()
            end = str(_one(there, b"select pg_current_wal_lsn()"))
            while not _one(here, _HERE, (end,)):
                time.sleep(LOOK_EVERY_S)
            lags_s.append((clock.now_ns() - committed_ns) / clock.S)
    return {"lags_s": lags_s, "median_s": median(lags_s)}


def _one(connection: psycopg.Connection[tuple[Any, ...]], query: bytes, values: tuple[str, ...] = ()) -> Any:
    row = connection.execute(query, values or None).fetchone()
    assert row is not None
    return row[0]
