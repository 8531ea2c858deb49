"""Who else leads: the other servers, asked all at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import psycopg

from lab.inside.database.places import PORT

LEAST_CONNECT_S = 2
"""libpq takes no less."""
QUESTION = """
select current_setting('default_transaction_read_only') = 'off', pg_walfile_name(pg_current_wal_lsn())
where not pg_is_in_recovery()
"""


def leading(addresses: Mapping[str, str]) -> str | None:
    """The node, of these, that is a read-write primary now; of two the one on the higher timeline. None: nobody."""
    found: dict[str, int] = {}

    def ask(node: str, address: str) -> None:
        try:
            with psycopg.connect(_dsn(address), connect_timeout=LEAST_CONNECT_S) as connection:
                row = connection.execute(QUESTION).fetchone()
        except psycopg.Error:
            return
        if row is not None and row[0]:
            found[node] = int(row[1][:8], 16)

    asking = [threading.Thread(target=ask, args=one, daemon=True) for one in addresses.items()]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(LEAST_CONNECT_S + 1)
    return max(found, key=lambda node: found[node], default=None)


def checkpoint(address: str) -> None:
    """Have a server write its control file: one that was promoted a moment ago still has its old timeline there, by
    which pg_rewind would think that nothing has diverged. Raises psycopg.Error."""
    with psycopg.connect(_dsn(address), connect_timeout=LEAST_CONNECT_S, autocommit=True) as connection:
        connection.execute("checkpoint")


def _dsn(address: str) -> str:
    return f"host={address} port={PORT} user=postgres dbname=postgres sslmode=disable gssencmode=disable"
