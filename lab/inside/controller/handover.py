"""A planned change: the old primary takes no more writes, and only then is another one promoted.

It is made read-only and its clients' sessions are ended; it is not shut down. A shutdown would lose nothing either, but
writes a checkpoint first, and nobody could ask the old primary how far it had come. Read-only loses nothing because the
standby must have replayed up to a place behind the last commit that anybody was told of, and it costs a few
milliseconds. It stays read-only for good: there are never two primaries that take writes.
"""

from __future__ import annotations

import asyncio

from lab.clock import S, now_ns
from lab.inside.controller.promotion import REPLAYED
from lab.inside.controller.server import Server
from lab.inside.sql import Failed

POLL_S = 0.002
LIMIT_S = 10.0

# A session that sees it has had its SIGHUP from the postmaster, which had read the file before: whoever connects from
# now on is read-only too.
_READ_ONLY = "select current_setting('default_transaction_read_only') = 'on', clock_timestamp()::text"
# Superusers of this lab look on and do not write.
_WRITERS = """from pg_stat_activity join pg_roles on rolname = usename
    where backend_type = 'client backend' and not rolsuper and backend_start <= '{since}'"""
_FLUSHED = "select pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint"


async def stop_writes(server: Server) -> tuple[int, int, int]:
    """Let a primary take no more writes: (after_ns, before_ns, bytes of WAL up to its last commit). Raises Failed."""
    after_ns = now_ns()
    await server.rows("alter system set default_transaction_read_only = on")
    await server.rows("select pg_reload_conf()")
    give_up_ns = after_ns + int(LIMIT_S * S)
    while not (found := (await server.rows(_READ_ONLY))[0])[0]:
        await _pause(give_up_ns, f"{server.node} does not become read-only")
    writers = _WRITERS.format(since=found[1])
    # What is in flight is either in the log before the end of its session, or never happens.
    while (await server.rows(f"select count(pg_terminate_backend(pid)) {writers}"))[0][0]:
        await _pause(give_up_ns, f"sessions with {server.node} do not end")
    flushed = int((await server.rows(_FLUSHED))[0][0])
    return after_ns, now_ns(), flushed


async def take_writes_again(server: Server) -> None:
    """Undo stop_writes. Raises Failed."""
    await server.rows("alter system reset default_transaction_read_only")
    await server.rows("select pg_reload_conf()")


async def replayed(server: Server, position: int) -> None:
    """Return when a standby has replayed up to a position. Raises Failed when that takes too long."""
    give_up_ns = now_ns() + int(LIMIT_S * S)
    while int((await server.rows(REPLAYED))[0][0]) < position:
        await _pause(give_up_ns, f"{server.node} has not replayed what the old primary has")


async def _pause(give_up_ns: int, text: str) -> None:
    if now_ns() > give_up_ns:
        raise Failed(f"{text} (waited {LIMIT_S:g} s)")
    await asyncio.sleep(POLL_S)
