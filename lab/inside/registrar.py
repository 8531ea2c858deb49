"""The health-check registrar of the DNS arm: asks every instance /health and keeps the zone's SRV records to match.

A round asks all instances at once; rounds begin every LAB_CHECK_INTERVAL_S, start to start. LAB_FAILURES_TO_REMOVE
failed checks in a row take an instance out, LAB_SUCCESSES_TO_ADD good ones put it in; a 503 (it drains) takes it out at
once. A check fails when no 200 came within LAB_CHECK_TIMEOUT_S.

Start-up: until every instance is in, at most 10 s, rounds follow each other every 0.1 s, by the same counts, and what
one round decides goes into one UPDATE: a stack is ready as soon as its instances are. From then on the rounds keep
their interval, beginning at an offset drawn from LAB_SEED: a registrar that ticks in step with the resolver's whole
seconds would see every change at the same phase of the TTL. "reset" draws a new one, for the next trial.

Events (writer registrar): check, registry.detected, registry.published (ns1 acknowledged), registry.propagated (ns2
serves it). Control: {"do": "status"} and {"do": "reset"}, both -> {"ok", "registered", "propagated", "next_check_ns",
"interval_s"}.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from dataclasses import dataclass
from typing import Any

from lab.clock import S, now_ns
from lab.history import Recorder
from lab.inside import control
from lab.inside.naming import address_of, events_folder, numbered
from lab.inside.zone import Failed, Zone

PORT = 8080
START_EVERY_S = 0.1
START_LIMIT_S = 10.0
RETRY_S = 0.2
FOLLOW_EVERY_S = 0.005
FOLLOW_LIMIT_S = 120.0
REQUEST = b"GET /health HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n"
DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Rules:
    """When an instance is in and when it is out."""

    interval_s: float
    timeout_s: float
    failures_to_remove: int
    successes_to_add: int

    @classmethod
    def from_environment(cls) -> Rules:
        """As the compose file hands them in."""
        return cls(
            float(os.environ.get("LAB_CHECK_INTERVAL_S") or 1),
            float(os.environ.get("LAB_CHECK_TIMEOUT_S") or 0.3),
            int(os.environ.get("LAB_FAILURES_TO_REMOVE") or 2),
            int(os.environ.get("LAB_SUCCESSES_TO_ADD") or 1),
        )


@dataclass(slots=True)
class Health:
    """What the checks of one instance have come to."""

    present: bool = False
    failures: int = 0
    successes: int = 0

    def take(self, why: str, rules: Rules) -> bool:
        """Count one check (`why` is empty when it was good); whether it changed `present`."""
        if why:
            self.failures, self.successes = self.failures + 1, 0
            enough = self.failures >= rules.failures_to_remove or why == DRAINING
            changed = self.present and enough
        else:
            self.failures, self.successes = 0, self.successes + 1
            changed = not self.present and self.successes >= rules.successes_to_add
        if changed:
            self.present = not self.present
        return changed


async def ask(address: str, port: int, timeout_s: float) -> str:
    """One health check: empty when it was good, else why not."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(REQUEST)
                status = (await reader.readline()).split(b" ", 2)[1:2]
            finally:
                writer.transport.abort()
    except TimeoutError:
        return "timeout"
    except ConnectionRefusedError:
        return "refused"
    except ConnectionError:
        return "reset"
    except OSError:
        return "unreachable"
    if status == [b"200"]:
        return ""
    if status == [b"503"]:
        return DRAINING
    return f"http_{status[0].decode('ascii', 'replace')}" if status else "reset"


class Registrar:
    """The rounds of checks, and two followers behind them: one publishes, one watches the secondary."""

    def __init__(self, rules: Rules, zone: Zone, addresses: dict[str, str], seed: str, events: Recorder) -> None:
        self.rules = rules
        self.zone = zone
        self.addresses = addresses
        self.seed = seed
        self.events = events
        self.health = {node: Health() for node in addresses}
        self.published: dict[str, bool] = dict.fromkeys(addresses, False)
        self.propagated: dict[str, bool] = dict.fromkeys(addresses, False)
        self.decided = asyncio.Event()
        self.acknowledged = asyncio.Event()
        self.reset = asyncio.Event()
        self.draws = 0
        self.next_ns = now_ns()

    async def run(self) -> None:
        """Check for ever."""
        await self.take_over()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.check_all())
            group.create_task(self.publish())
            group.create_task(self.follow())

    async def take_over(self) -> None:
        """Begin with what the zone says: a registrar that was restarted must take out what died meanwhile."""
        found: frozenset[str] | None = None
        while found is None:
            try:
                found = await self.zone.served(self.zone.primary)
            except Failed as error:
                print(f"registrar: ns1 does not answer yet: {error}", file=sys.stderr)
                await asyncio.sleep(FOLLOW_EVERY_S * 10)
        for node in found & self.health.keys():
            self.health[node].present = self.published[node] = self.propagated[node] = True

    # -- checks --------------------------------------------------------------------------------------------------

    async def check_all(self) -> None:
        """Quick rounds until every instance is in, then a round every interval."""
        until_ns = now_ns() + int(START_LIMIT_S * S)
        while now_ns() < until_ns and not all(self.published.values()):
            self.next_ns = now_ns() + int(START_EVERY_S * S)
            await self.round()
            self.decided.set()
            await asyncio.sleep(max(0, self.next_ns - now_ns()) / S)
        self.draw_offset()
        rounds: set[asyncio.Task[None]] = set()
        while True:
            try:
                await asyncio.wait_for(self.reset.wait(), max(0, self.next_ns - now_ns()) / S)
            except TimeoutError:
                # Not awaited: the next round begins on time however long this one takes.
                task = asyncio.create_task(self.round(tell_at_once=True))
                rounds.add(task)
                task.add_done_callback(rounds.discard)
                self.next_ns += int(self.rules.interval_s * S)
            else:
                self.reset.clear()
                self.draw_offset()

    def draw_offset(self) -> None:
        """Let the next round begin within an interval from now, at an instant that the seed and the draw decide."""
        self.draws += 1
        share = random.Random(f"{self.seed}/registrar/{self.draws}").random()
        self.next_ns = now_ns() + int(share * self.rules.interval_s * S)

    async def round(self, tell_at_once: bool = False) -> None:
        """Check every instance once, all at the same time."""
        await asyncio.gather(*(self.check(node, tell_at_once) for node in self.addresses))

    async def check(self, node: str, tell_at_once: bool) -> None:
        """Check one instance and decide."""
        health = self.health[node]
        was_good = health.failures == 0 and health.successes > 0
        sent_ns = now_ns()
        why = await ask(self.addresses[node], PORT, self.rules.timeout_s)
        done_ns = now_ns()
        changed = health.take(why, self.rules)
        if why or not was_good:
            took_ns = done_ns - sent_ns
            self.events.record("check", done_ns, node=node, ok=not why, why=why, sent_ns=sent_ns, took_ns=took_ns)
        if changed:
            checks = health.successes if health.present else health.failures
            self.note("registry.detected", done_ns, node, health.present, checks=checks)
            if tell_at_once:
                self.decided.set()

    # -- what follows a decision -----------------------------------------------------------------------------------

    async def publish(self) -> None:
        """Bring ns1 in line with what was decided; all that is decided by then goes into one UPDATE."""
        while True:
            await self.decided.wait()
            self.decided.clear()
            wanted = {node: health.present for node, health in self.health.items()}
            change = {node: there for node, there in wanted.items() if there != self.published[node]}
            if not change:
                continue
            try:
                await self.zone.change(change, self.addresses)
            except Failed as error:
                print(f"registrar: UPDATE of {sorted(change)} failed: {error!r}", file=sys.stderr)
                await asyncio.sleep(RETRY_S)
                self.decided.set()
                continue
            acknowledged_ns = now_ns()
            self.published.update(change)
            for node, there in change.items():
                self.note("registry.published", acknowledged_ns, node, there, server="ns1")
            self.acknowledged.set()

    async def follow(self) -> None:
        """Ask ns2 until it serves what ns1 has acknowledged; given up when that takes longer than settings explain."""
        while True:
            await self.acknowledged.wait()
            self.acknowledged.clear()
            give_up_ns = now_ns() + int(FOLLOW_LIMIT_S * S)
            while self.propagated != self.published and now_ns() < give_up_ns:
                asked_ns = now_ns()
                try:
                    served = await self.zone.served(self.zone.secondary)
                except Failed:
                    await asyncio.sleep(RETRY_S)
                    continue
                seen_ns = now_ns()
                for node, there in self.published.items():
                    if self.propagated[node] != there and (node in served) == there:
                        self.propagated[node] = there
                        self.note("registry.propagated", seen_ns, node, there, server="ns2")
                await asyncio.sleep(max(0.0, FOLLOW_EVERY_S - (now_ns() - asked_ns) / S))

    def note(self, kind: str, t_ns: int, node: str, present: bool, **fields: Any) -> None:
        """Record one step of a change on its way to the clients."""
        self.events.record(kind, t_ns, service=self.zone.service, node=node, present=present, **fields)

    # -- control -------------------------------------------------------------------------------------------------

    def answer(self, loop: asyncio.AbstractEventLoop, message: dict[str, Any]) -> dict[str, Any]:
        """A command from the lab; called in the control socket's thread."""
        if message.get("do") == "reset":
            loop.call_soon_threadsafe(self.reset.set)
        elif message.get("do") != "status":
            return {"ok": False, "error": f"the registrar knows status and reset, not {message.get('do')!r}"}
        return {
            "ok": True,
            "registered": sorted(node for node, there in self.published.items() if there),
            "propagated": sorted(node for node, there in self.propagated.items() if there),
            "next_check_ns": self.next_ns,
            "interval_s": self.rules.interval_s,
        }


async def register() -> None:
    """Run the registrar that the environment describes."""
    zone = Zone(
        service=os.environ.get("LAB_SERVICE") or "shop",
        primary=address_of("ns1"),
        secondary=address_of("ns2"),
        secret=os.environ["LAB_TSIG_SECRET"],
        ttl_s=int(os.environ.get("LAB_TTL_S") or 5),
        port=PORT,
    )
    addresses = numbered("backend", int(os.environ.get("LAB_INSTANCES") or 8))
    events = Recorder(events_folder(), "registrar")
    registrar = Registrar(Rules.from_environment(), zone, addresses, os.environ.get("LAB_SEED") or "0", events)
    loop = asyncio.get_running_loop()
    control.serve(lambda message: registrar.answer(loop, message))
    await registrar.run()


def main() -> None:
    """Run until the process is ended."""
    asyncio.run(register())
