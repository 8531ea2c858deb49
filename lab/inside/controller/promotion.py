"""The steps of a change of primary that are the same whether it was planned or not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lab.clock import S, now_ns
from lab.history import Recorder
from lab.inside.controller.choice import best, standby_names
from lab.inside.controller.rules import Rules
from lab.inside.controller.server import Server
from lab.inside.sql import PORT, Failed, literal

POLL_S = 0.002
"""pg_promote(wait => true) looks only every 100 ms; promoted is a server that says so itself."""
PROMOTION_LIMIT_S = 10.0

# What it has: received, or (a receiver that has just begun anew counts from the start of a segment) replayed.
_POSITION = """select case when pg_is_in_recovery() then greatest(
    pg_wal_lsn_diff(coalesce(pg_last_wal_receive_lsn(), '0/0'), '0/0'),
    pg_wal_lsn_diff(coalesce(pg_last_wal_replay_lsn(), '0/0'), '0/0'))::bigint end"""

REPLAYED = "select pg_wal_lsn_diff(coalesce(pg_last_wal_replay_lsn(), '0/0'), '0/0')::bigint"
"""Of a standby so far; of a primary the place where it left recovery, for ever."""


async def positions(servers: Sequence[Server]) -> dict[str, int]:
    """Bytes of WAL that each standby has, asked of all at once; who is no standby or does not answer is left out."""

    async def position(server: Server) -> int | None:
        try:
            found = await server.rows(_POSITION)
        except Failed:
            return None
        return None if found[0][0] is None else int(found[0][0])

    found = await asyncio.gather(*(position(server) for server in servers))
    return {server.node: have for server, have in zip(servers, found, strict=True) if have is not None}


class Promotion:
    """Promotes one of `servers` in the place of `old`, and lets the others follow it."""

    def __init__(self, old: str, servers: Mapping[str, Server], rules: Rules, events: Recorder) -> None:
        self.old = old
        self.rules = rules
        self.events = events
        self.standbys = [server for server in servers.values() if server.node != old and not server.left]
        self._candidates: dict[str, int] = {}
        self._names: str | None = None

    async def choose(self) -> Server | None:
        """The standby to promote, recorded; None where no standby answers. To be asked right before it is promoted.

        Standbys of a primary that lives still receive: who had the most when it was asked may have been overtaken, so
        all are asked until two answers in a row (of at most three) name the same one.
        """
        chosen: str | None = None
        for _ in range(3):
            candidates = self._candidates = await positions(self.standbys)
            found = best(candidates, self.rules.promote)
            if found is None:
                return None
            if found == chosen:
                break
            chosen = found
            self.events.record("failover.chosen", node=found, rule=self.rules.promote, candidates=candidates)
        return next(server for server in self.standbys if server.node == chosen)

    async def promote(self, server: Server) -> None:
        """Promote it; returns at the instant at which it is no longer in recovery. Raises Failed.

        Where fewer standbys are left than it should wait for, it is told so before: promoted, it takes writes.
        """
        has = self._candidates.get(server.node, 0)
        left = [node for node, had in self._candidates.items() if node != server.node and had <= has]
        if len(left) < self.rules.sync_standbys:
            await self._let_wait_for(server, left)
        self.events.record("failover.promoting", node=server.node)
        await server.rows("select pg_promote(wait => false)")
        give_up_ns = now_ns() + int(PROMOTION_LIMIT_S * S)
        while True:
            asked_ns = now_ns()
            in_recovery = (await server.rows("select pg_is_in_recovery()"))[0][0]
            told_ns = now_ns()
            if not in_recovery:
                break
            if told_ns > give_up_ns:
                raise Failed(f"{server.node} is still in recovery after {PROMOTION_LIMIT_S:g} s")
            await asyncio.sleep(POLL_S)
        self.events.record("failover.promoted", told_ns, node=server.node, after_ns=asked_ns, before_ns=told_ns)

    async def has_happened(self, server: Server) -> bool:
        """Whether a server that was asked to become primary has become it after all; recorded."""
        asked_ns = now_ns()
        try:
            if (await server.rows("select pg_is_in_recovery()"))[0][0]:
                return False
        except Failed:
            return False
        told_ns = now_ns()
        self.events.record("failover.promoted", told_ns, node=server.node, after_ns=asked_ns, before_ns=told_ns)
        return True

    async def settle(self, server: Server) -> None:
        """After it was promoted: every standby that answers receives from it, straight, whatever its way was before,
        and in sync it waits for those.

        Not before it: each setting is a file that is made durable, and on a busy disk that takes longer than all else.
        """
        others = [standby for standby in self.standbys if standby is not server]
        await asyncio.gather(
            self._wait_for_those_left(server, others), *(self._point(standby, server) for standby in others)
        )

    async def _point(self, standby: Server, upstream: Server) -> None:
        try:
            found = await standby.rows("select current_setting('primary_conninfo'), pg_is_in_recovery()")
            before, in_recovery = found[0]
            if not in_recovery:
                return
            told = conninfo_to_dict(str(before)) or {"user": "repl", "application_name": standby.node}
            told.pop("hostaddr", None)
            wanted = make_conninfo("", **{**told, "host": upstream.address, "port": PORT})
            await standby.rows(f"alter system set primary_conninfo = {literal(wanted)}")
            await standby.rows("select pg_reload_conf()")
        except Failed:
            return  # who does not answer has no event: it follows nobody
        self.events.record("failover.repointed", node=standby.node, upstream=upstream.node)

    async def _wait_for_those_left(self, server: Server, others: Sequence[Server]) -> None:
        """Left is who can follow: a standby that has replayed more than the new primary had must be rewound first."""
        if not self.rules.sync_standbys:
            return
        try:
            began = int((await server.rows(REPLAYED))[0][0])
            await self._let_wait_for(server, [one.node for one in others if await _replayed_at_most(one, began)])
        except Failed as error:
            self.events.record("failover.stuck", why=f"{server.node} still waits for standbys that are gone: {error}")

    async def _let_wait_for(self, server: Server, left: Sequence[str]) -> None:
        names, count = standby_names(self.rules.sync_method, self.rules.sync_standbys, left)
        if names == self._names:
            return
        await server.rows(f"alter system set synchronous_standby_names = {literal(names)}")
        await server.rows("select pg_reload_conf()")
        self._names = names
        if count < self.rules.sync_standbys:
            self.events.record("failover.degraded", sync_standbys=count)


async def _replayed_at_most(server: Server, position: int) -> bool:
    try:
        return int((await server.rows(REPLAYED))[0][0]) <= position
    except Failed:
        return False
