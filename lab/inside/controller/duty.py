"""The controller's duty: watch the primary, replace it when it has failed, watch the new one.

Probes follow each other every LAB_PROBE_INTERVAL_S, start to start, later where one takes longer; each is a new
connection and a query, within LAB_PROBE_TIMEOUT_S. The first one falls at an offset drawn from LAB_SEED.

A decision is not taken back once a fence was sent: nobody knows what a fence that gave no answer has done. Without
fencing, a primary that answers again while nobody can be promoted is watched again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from lab.clock import S, now_ns
from lab.history import Recorder
from lab.inside.controller.choice import number_of
from lab.inside.controller.fence import NotFenced, fence
from lab.inside.controller.handover import replayed, stop_writes, take_writes_again
from lab.inside.controller.promotion import Promotion
from lab.inside.controller.rules import Rules
from lab.inside.controller.server import NAME, Server
from lab.inside.controller.streak import Streak
from lab.inside.sql import Failed, Session

FIRST = "postgres1"
QUIET = ("watching", "done")
"""What it does while all is well: with the first primary, and after a change."""


async def probe(address: str, timeout_s: float) -> str:
    """One look at a primary as a client sees it, with a new connection: empty when it was good, else why not."""
    session: Session | None = None
    try:
        async with asyncio.timeout(timeout_s):
            session = await Session.open(address, timeout_s=timeout_s, name=f"{NAME}_probe")
            in_recovery = (await session.rows("select pg_is_in_recovery()", timeout_s))[0][0]
    except TimeoutError:
        return "timeout"
    except Failed as error:
        return str(error)
    finally:
        if session is not None:
            session.close()
    return "in_recovery" if in_recovery else ""


class Controller:
    """Who is primary, as far as it knows, and what it does about that."""

    def __init__(
        self, addresses: Mapping[str, str], clients: Sequence[str], rules: Rules, seed: str, events: Recorder
    ) -> None:
        self.rules = rules
        self.clients = clients
        self.seed = seed
        self.events = events
        self.servers = {node: Server(node, address, rules.timeout_s) for node, address in addresses.items()}
        self.primary = FIRST
        self.doing = "idle"
        self.streak = Streak(rules)
        self.next_ns = now_ns()
        self._draws = 0
        self._orders: asyncio.Queue[str] = asyncio.Queue()
        self._hand_over = asyncio.Event()

    async def run(self, idle: bool) -> None:
        """Keep sessions and do the duty for ever; `idle`: only from the first reset on."""
        async with asyncio.TaskGroup() as group:
            for server in self.servers.values():
                group.create_task(server.keep())
            duty = None if idle else group.create_task(self.begin())
            while True:
                order = await self._orders.get()
                if order == "switchover":
                    self._hand_over.set()
                    continue
                if duty is not None:
                    duty.cancel()
                    await asyncio.wait({duty})
                self.doing = "idle"
                duty = group.create_task(self.begin()) if order == "reset" else None

    async def begin(self) -> None:
        """Watch the first primary, as at the start of a trial, and go on from there."""
        # Who was never seen to be well has not failed: it may only just be starting.
        self.primary, self.doing = FIRST, "idle"
        self._hand_over.clear()
        for server in self.servers.values():
            server.begin_anew()
        self._draws += 1
        share = random.Random(f"{self.seed}/controller/{self._draws}").random()
        self.next_ns = now_ns() + int(share * self.rules.interval_s * S)
        while True:
            checks = await self.watch()
            if checks is None:
                await self.hand_over()
            else:
                await self.fail_over(checks)

    # -- watching ------------------------------------------------------------------------------------------------

    async def watch(self) -> int | None:
        """Probe the primary until it has failed: so many probes in a row; None: until a switchover was asked for."""
        quiet = "watching" if self.primary == FIRST else "done"
        streak = self.streak = Streak(self.rules)
        while True:
            acts_ns = streak.acts_ns
            if await self._asked_before(self.next_ns if acts_ns is None else min(self.next_ns, acts_ns)):
                self._hand_over.clear()
                return None
            if acts_ns is not None and now_ns() >= acts_ns:
                return streak.failures
            sent_ns = now_ns()
            looking = asyncio.create_task(probe(self.servers[self.primary].address, self.rules.timeout_s))
            try:
                # An operator acts at his instant, also while a probe is under way.
                await asyncio.wait({looking}, timeout=None if acts_ns is None else max(0, acts_ns - sent_ns) / S)
            finally:
                if not looking.done():
                    looking.cancel()
            if not looking.done():
                return streak.failures
            if self._take(looking.result(), sent_ns, now_ns()):
                self.doing = "suspects" if streak.failures else quiet
            self.next_ns = max(self.next_ns + int(self.rules.interval_s * S), now_ns())

    def _take(self, why: str, sent_ns: int, done_ns: int) -> bool:
        """Count and record a probe; False where it does not count."""
        counts = not why or self.doing != "idle"
        failed_before = self.streak.failures > 0
        if counts:
            self.streak.take(not why, done_ns)
        if why or failed_before:
            node, took_ns = self.primary, done_ns - sent_ns
            self.events.record(
                "failover.checked", done_ns, node=node, ok=not why, why=why, sent_ns=sent_ns, took_ns=took_ns
            )
        return counts

    async def _asked_before(self, t_ns: int) -> bool:
        """Wait until an instant; True as soon as a switchover is asked for."""
        try:
            await asyncio.wait_for(self._hand_over.wait(), max(0, t_ns - now_ns()) / S)
        except TimeoutError:
            return False
        return True

    # -- a failed primary ----------------------------------------------------------------------------------------

    async def fail_over(self, checks: int) -> None:
        """Fence, choose, promote, let the others follow; afterwards the new primary is the one to watch."""
        old = self.servers[self.primary]
        self.events.record("failover.detected", node=old.node, checks=checks)
        if self.rules.fence != "none":
            self.doing = "fencing"
            await self._fence(old)
        self.doing = "promoting"
        asked: Server | None = None
        told = ""
        while True:
            promotion = Promotion(old.node, self.servers, self.rules, self.events)
            try:
                if asked is not None and await promotion.has_happened(asked):
                    return await self._finish(promotion, asked, old)
                asked = await promotion.choose()
                if asked is not None:
                    await promotion.promote(asked)
                    return await self._finish(promotion, asked, old)
                why = "no standby answers"
            except Failed as error:
                why = str(error)
            if why != told:
                self.doing, told = "stuck", why
                self.events.record("failover.stuck", why=why)
            if self.rules.fence == "none" and asked is None and await self._is_back(old):
                return None
            await asyncio.sleep(self.rules.interval_s)

    async def _fence(self, old: Server) -> None:
        """Until it is fenced: nobody is promoted while the old primary may still take writes."""
        self.events.record("failover.fencing", node=old.node, how=self.rules.fence)
        while True:
            try:
                after_ns, before_ns = await fence(old.address, self.rules.fence, self.clients)
                break
            except NotFenced as error:
                self.events.record("failover.fence_failed", node=old.node, why=str(error))
            await asyncio.sleep(self.rules.interval_s)
        self.events.record(
            "failover.fenced", node=old.node, how=self.rules.fence, after_ns=after_ns, before_ns=before_ns
        )

    async def _is_back(self, old: Server) -> bool:
        sent_ns = now_ns()
        why = await probe(old.address, self.rules.timeout_s)
        self._take(why, sent_ns, now_ns())
        return not why

    async def _finish(self, promotion: Promotion, new: Server, old: Server) -> None:
        await promotion.settle(new)
        old.leave()
        self.primary, self.doing = new.node, "done"
        self.events.record("failover.done", node=new.node)
        self.next_ns = now_ns() + int(self.rules.interval_s * S)

    # -- a planned change ----------------------------------------------------------------------------------------

    async def hand_over(self) -> None:
        """A switchover (see handover): the old primary is left read-only, and whoever keeps it must let it follow."""
        old = self.servers[self.primary]
        self.events.record("failover.detected", node=old.node, checks=0)
        self.events.record("failover.fencing", node=old.node, how="read_only")
        self.doing = "fencing"
        promotion = Promotion(old.node, self.servers, self.rules, self.events)
        new: Server | None = None
        try:
            after_ns, before_ns, position = await stop_writes(old)
            self.events.record(
                "failover.fenced", node=old.node, how="read_only", after_ns=after_ns, before_ns=before_ns
            )
            self.doing = "promoting"
            new = await promotion.choose()
            if new is None:
                raise Failed("no standby answers")
            await replayed(new, position)
            await promotion.promote(new)
        except Failed as error:
            self.events.record("failover.stuck", why=str(error))
            if new is None or not await promotion.has_happened(new):
                # Also when it was asked for in vain: the old primary is the only one, and may be so.
                await self._give_back(old)
                return
        await self._finish(promotion, new, old)

    async def _give_back(self, old: Server) -> None:
        try:
            await take_writes_again(old)
        except Failed as error:
            self.events.record("failover.stuck", why=f"{old.node} stays read-only: {error}")

    # -- control -------------------------------------------------------------------------------------------------

    def order(self, what: str) -> None:
        """reset, stand_down or switchover; called in the loop's thread."""
        self._orders.put_nowait(what)

    def answer(self, loop: asyncio.AbstractEventLoop, message: dict[str, Any]) -> dict[str, Any]:
        """A command from the lab; called in the control socket's thread."""
        do = message.get("do")
        if do == "switchover" and (self.doing not in QUIET or self.streak.failures):
            return {"ok": False, "error": f"it is {self.doing}: a switchover needs a primary that is well"}
        if do in ("reset", "stand_down", "switchover"):
            loop.call_soon_threadsafe(self.order, do)
        elif do != "status":
            return {"ok": False, "error": f"the controller knows status, reset, stand_down, switchover, not {do!r}"}
        return {
            "ok": True,
            "primary": self.primary,
            "doing": self.doing,
            "failures": self.streak.failures,
            "connected": sorted((n for n, server in self.servers.items() if server.connected), key=number_of),
            "next_probe_ns": self.next_ns,
            "interval_s": self.rules.interval_s,
        }
