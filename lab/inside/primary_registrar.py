"""The registrar of a database's primary: looks which server takes writes, and publishes it for those who ask DNS or
watch a znode.

Every server is checked each LAB_CHECK_INTERVAL_S, start to start (later where a check takes longer: it has
LAB_CHECK_TIMEOUT_S), over a session that is kept: is it not in recovery and not read-only, and on which timeline? A
primary that does not answer LAB_FAILURES_TO_REMOVE checks in a row is none any more; one that says that it takes no
writes is none at once. Nothing is ever withdrawn: the last primary stays published until another one is seen, on a
timeline that is not older (lab.inside.primary_choice). "reset" forgets it, for a trial begins on timeline 1 again.

Events (writer registrar): check {node, ok, why, sent_ns, took_ns, timeline} where a server does not answer or says
something new; registrar.saw {primaries: [[node, timeline], ...]} whenever those that called themselves primaries at
their last check were two, or none, and when that ended; registry.published {service: "primary", node, present: true,
server: "ns1" | "zookeeper", timeline} when it was acknowledged; registry.propagated {.. server: "ns2"}; lag, stall.
Control: {"do": "status"}, {"do": "reset"} -> {ok, primary: node or null, timeline, published: {"ns1", "ns2" and
"zookeeper", as far as it publishes there: node or null}, next_check_ns, interval_s}.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lab.clock import S, now_ns
from lab.history import Recorder
from lab.inside import control, primary_record, primary_znode
from lab.inside.naming import address_of, events_folder, numbered
from lab.inside.primary_choice import Health, Primary, choose
from lab.inside.sql import Failed, Session
from lab.inside.ticker import Ticker

SERVICE = "primary"
NAME = "registrar"
RETRY_S = 0.2
FOLLOW_EVERY_S = 0.005
FOLLOW_LIMIT_S = 30.0
FAILED = (*primary_record.Failed, primary_znode.Failed)

CHECK = """select case when pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' then 0
    else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end"""


@dataclass(frozen=True, slots=True)
class Rules:
    """When a server is checked, and when it is no primary any more."""

    interval_s: float = 0.25
    timeout_s: float = 0.5
    failures_to_remove: int = 2

    @classmethod
    def from_environment(cls) -> Rules:
        """As the compose file hands them in."""
        return cls(
            float(os.environ.get("LAB_CHECK_INTERVAL_S") or 0.25),
            float(os.environ.get("LAB_CHECK_TIMEOUT_S") or 0.5),
            int(os.environ.get("LAB_FAILURES_TO_REMOVE") or 2),
        )


class Place(Protocol):
    """Where the primary is published; `put` raises one of FAILED."""

    @property
    def server(self) -> str: ...
    async def put(self, found: Primary) -> None: ...


class Publisher:
    """Brings one place in line with what is wanted."""

    def __init__(self, place: Place, events: Recorder) -> None:
        self.place = place
        self.events = events
        self.wanted: Primary | None = None
        self.published: Primary | None = None
        self.propagated: Primary | None = None
        self._work = asyncio.Event()

    def want(self, found: Primary | None) -> None:
        """Publish this; None: forget what was published, so that it is published anew."""
        self.wanted = found
        if found is None:
            self.published = self.propagated = None
        self._work.set()

    async def run(self) -> None:
        """Publish what is wanted, for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            wanted = self.wanted
            if wanted is None or wanted == self.published:
                continue
            try:
                await self.place.put(wanted)
            except FAILED as error:
                print(f"registrar: {self.place.server}: {wanted.node} not published: {error!r}", file=sys.stderr)
                await asyncio.sleep(RETRY_S)
                self._work.set()
                continue
            self._note("registry.published", wanted, self.place.server)
            if wanted == self.wanted:  # else it was forgotten, or is news already
                self.published = wanted
            if isinstance(self.place, primary_record.Record):
                await self._follow(self.place, wanted)

    async def _follow(self, record: primary_record.Record, found: Primary) -> None:
        """Ask ns2 until it says so too, unless something else is to be published by then."""
        give_up_ns = now_ns() + int(FOLLOW_LIMIT_S * S)
        while now_ns() < give_up_ns and self.wanted == found:
            try:
                if await record.propagated(found):
                    self._note("registry.propagated", found, "ns2")
                    self.propagated = found
                    return
            except FAILED:
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(FOLLOW_EVERY_S)

    def _note(self, kind: str, found: Primary, server: str) -> None:
        self.events.record(kind, service=SERVICE, node=found.node, present=True, server=server, timeline=found.timeline)

    @property
    def told(self) -> dict[str, str | None]:
        """Who is published, by server."""
        told = {self.place.server: self.published.node if self.published else None}
        if isinstance(self.place, primary_record.Record):
            told["ns2"] = self.propagated.node if self.propagated else None
        return told


class Registrar:
    """The checks of every server, and what follows from them."""

    def __init__(
        self, rules: Rules, addresses: Mapping[str, str], places: Sequence[Place], seed: str, events: Recorder
    ) -> None:
        self.rules = rules
        self.addresses = addresses
        self.seed = seed
        self.events = events
        self.publishers = [Publisher(place, events) for place in places]
        self.health = {node: Health() for node in addresses}
        self.found: Primary | None = None
        self.next_ns = now_ns()
        self._saw: list[list[Any]] | None = None
        self._draws = 0
        self._reset = asyncio.Event()

    async def run(self) -> None:
        """Check and publish for ever; anew after every reset."""
        async with asyncio.TaskGroup() as group:
            for publisher in self.publishers:
                group.create_task(publisher.run())
            while True:
                self._begin()
                checks = [group.create_task(self._check_for_ever(node)) for node in self.addresses]
                await self._reset.wait()
                self._reset.clear()
                for check in checks:
                    check.cancel()
                await asyncio.wait(checks)

    def _begin(self) -> None:
        self.health = {node: Health() for node in self.addresses}
        self.found, self._saw = None, None
        for publisher in self.publishers:
            publisher.want(None)
        self._draws += 1
        share = random.Random(f"{self.seed}/registrar/{self._draws}").random()
        self.next_ns = now_ns() + int(share * self.rules.interval_s * S)

    async def _check_for_ever(self, node: str) -> None:
        next_ns = self.next_ns
        session: Session | None = None
        try:
            while True:
                await asyncio.sleep(max(0, next_ns - now_ns()) / S)
                next_ns += int(self.rules.interval_s * S)
                self.next_ns = max(self.next_ns, next_ns)
                session = await self._check(node, session)
                next_ns = max(next_ns, now_ns())
        finally:
            if session is not None:
                session.close()

    async def _check(self, node: str, session: Session | None) -> Session | None:
        """Check one server and decide; the session for the next check."""
        timeout_s, sent_ns, why = self.rules.timeout_s, now_ns(), ""
        said: int | None = None
        try:
            if session is None or not session.alive:
                session = await Session.open(self.addresses[node], timeout_s=timeout_s, name=NAME)
            left_s = timeout_s - (now_ns() - sent_ns) / S
            said = int((await session.rows(CHECK, max(0.001, left_s)))[0][0])
        except Failed as error:
            why = str(error)
        self._take(node, said, why, sent_ns, now_ns())
        return session

    def _take(self, node: str, said: int | None, why: str, sent_ns: int, done_ns: int) -> None:
        if self.health[node].take(said, self.rules.failures_to_remove) or why:
            about = {"node": node, "ok": not why, "why": why, "timeline": said}
            self.events.record("check", done_ns, **about, sent_ns=sent_ns, took_ns=done_ns - sent_ns)
        self._look_at_all(done_ns)
        found = choose(self.health, self.addresses, self.found)
        if found != self.found:
            self.found = found
            for publisher in self.publishers:
                publisher.want(found)

    def _look_at_all(self, t_ns: int) -> None:
        saw = [[node, one.said] for node, one in self.health.items() if one.said]
        if saw == self._saw:
            return
        # Nobody has looked at all of them before: after a reset "none" would only mean "not asked yet".
        if self._saw is None and not saw:
            return
        if len(saw) != 1 or (self._saw is not None and len(self._saw) != 1):
            self.events.record("registrar.saw", t_ns, primaries=saw)
        self._saw = saw

    # -- control -------------------------------------------------------------------------------------------------

    def answer(self, loop: asyncio.AbstractEventLoop, message: dict[str, Any]) -> dict[str, Any]:
        """A command from the lab; called in the control socket's thread."""
        if message.get("do") == "reset":
            loop.call_soon_threadsafe(self._reset.set)
        elif message.get("do") != "status":
            return {"ok": False, "error": f"the registrar knows status and reset, not {message.get('do')!r}"}
        found = self.found
        return {
            "ok": True,
            "primary": found.node if found else None,
            "timeline": found.timeline if found else None,
            "published": {server: node for publisher in self.publishers for server, node in publisher.told.items()},
            "next_check_ns": self.next_ns,
            "interval_s": self.rules.interval_s,
        }


def places_of(publish: str) -> list[Place]:
    """Where to publish: "dns,zookeeper", either of them, or nowhere."""
    words = [word.strip() for word in publish.split(",") if word.strip()]
    places: list[Place] = []
    if "dns" in words:
        secret, ttl_s = os.environ["LAB_TSIG_SECRET"], int(os.environ.get("LAB_TTL_S") or 2)
        places.append(primary_record.Record(address_of("ns1"), address_of("ns2"), secret, ttl_s))
    if "zookeeper" in words:
        servers = numbered("zookeeper", int(os.environ.get("LAB_ZOOKEEPERS") or 3))
        session_s = float(os.environ.get("LAB_SESSION_TIMEOUT_S") or 4)
        places.append(primary_znode.Znode([f"{address}:2181" for address in servers.values()], session_s))
    return places


async def register() -> None:
    """Run the registrar that the environment describes."""
    addresses = numbered("postgres", int(os.environ.get("LAB_POSTGRES") or 3))
    events = Recorder(events_folder(), "registrar")
    places = places_of(os.environ.get("LAB_PUBLISH") or "dns,zookeeper")
    registrar = Registrar(Rules.from_environment(), addresses, places, os.environ.get("LAB_SEED") or "0", events)
    loop = asyncio.get_running_loop()
    ticker = Ticker(events)

    async def tick() -> None:
        while True:
            await asyncio.sleep(ticker.tick())

    async with asyncio.TaskGroup() as group:
        group.create_task(tick())
        group.create_task(registrar.run())
        control.serve(lambda message: registrar.answer(loop, message))


def main() -> None:
    """Run until the process is ended."""
    asyncio.run(register())
