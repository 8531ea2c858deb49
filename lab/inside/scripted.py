"""The scripted registry: it tells the truth, exactly so much later. What the lab measures of it is known beforehand.

It holds a TCP connection to every instance and so sees at once when one is killed or serves again. Client c learns of
a change exactly delays_s[c % len(delays_s)] after the registry saw it. Clients connect to port 7000, say
{"client": 17}, and are sent a line {"instances": [{"node", "address", "port"}, ...]} now and at each change.
Events (writer registry): registry.detected when it saw a change, registry.published when the first clients were told.
Control: {"do": "status"} -> {"ok": true, "present": [nodes], "due": changes not yet told to everybody, "clients": n}.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import orjson

from lab import clock
from lab.history import Recorder
from lab.inside import control
from lab.inside.naming import events_folder, numbered

PORT = 7000
INSTANCE_PORT = 8080
RETRY_S = 0.02
CONNECT_TIMEOUT_S = 0.2
SPIN_NS = 2 * clock.MS
"""An event loop's timers are good to a millisecond or so; the rest is spun away."""


async def sleep_until(t_ns: int) -> None:
    """Until the monotonic clock reads `t_ns`, to some microseconds."""
    while (left_ns := t_ns - SPIN_NS - clock.now_ns()) > 0:
        await asyncio.sleep(left_ns / clock.S)
    while clock.now_ns() < t_ns:
        time.sleep(0)


class Audience:
    """The clients of one delay, and what they have been told so far."""

    def __init__(self, delay_s: float) -> None:
        self.delay_ns = int(delay_s * clock.S)
        self.told: dict[str, str] = {}
        self.writers: set[asyncio.StreamWriter] = set()

    def tell(self, writers: set[asyncio.StreamWriter] | None = None) -> None:
        """Send the list to everybody, or to `writers`."""
        instances = [
            {"node": node, "address": address, "port": INSTANCE_PORT} for node, address in sorted(self.told.items())
        ]
        line = orjson.dumps({"instances": instances}) + b"\n"
        for writer in self.writers if writers is None else writers:
            writer.write(line)


class Registry:
    """Who is present, and who has been told."""

    def __init__(self, recorder: Recorder, service: str, instances: dict[str, str], delays_s: list[float]) -> None:
        self.recorder = recorder
        self.service = service
        self.instances = instances
        self.present: set[str] = set()
        self.audiences = [Audience(delay_s) for delay_s in delays_s]
        self.first = min(self.audiences, key=lambda audience: audience.delay_ns)
        self.telling: set[asyncio.Task[None]] = set()

    async def watch(self, node: str) -> None:
        """Hold a connection to an instance for ever and note when it ends or begins."""
        while True:
            try:
                reader, writer = await self.connect(node)
            except OSError:  # refused, unreachable, or no answer in time
                self.saw(node, present=False, at_ns=clock.now_ns())
                await asyncio.sleep(RETRY_S)
                continue
            self.saw(node, present=True, at_ns=clock.now_ns())
            try:
                while await reader.read(4096):
                    pass
            except OSError:
                pass
            ended_ns = clock.now_ns()
            writer.close()
            # A server may close an idle connection and be well: only one that cannot be connected to again is gone.
            if not await self.accepts(node):
                self.saw(node, present=False, at_ns=ended_ns)

    async def connect(self, node: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection to an instance. Raises OSError, also when it takes too long."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(self.instances[node], INSTANCE_PORT)

    async def accepts(self, node: str) -> bool:
        """Whether the instance takes a new connection."""
        try:
            _, writer = await self.connect(node)
        except OSError:
            return False
        writer.close()
        return True

    def saw(self, node: str, *, present: bool, at_ns: int) -> None:
        """Note what was seen; a change is told to each audience when it is due there."""
        if (node in self.present) == present:
            return
        (self.present.add if present else self.present.discard)(node)
        self.recorder.record("registry.detected", at_ns, service=self.service, node=node, present=present, checks=1)
        for audience in self.audiences:
            telling = asyncio.create_task(self.tell(audience, node, present, at_ns))
            self.telling.add(telling)
            telling.add_done_callback(self.telling.discard)

    async def tell(self, audience: Audience, node: str, present: bool, at_ns: int) -> None:
        """Let an audience know of a change at its time."""
        await sleep_until(at_ns + audience.delay_ns)
        if present:
            audience.told[node] = self.instances[node]
        else:
            audience.told.pop(node, None)
        audience.tell()
        if audience is self.first:
            self.recorder.record(
                "registry.published", service=self.service, node=node, present=present, server="registry"
            )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its hello to its end."""
        audience: Audience | None = None
        try:
            client = orjson.loads(await reader.readline())["client"]
            audience = self.audiences[client % len(self.audiences)]
            audience.tell({writer})
            audience.writers.add(writer)
            await reader.read()
        except (OSError, ValueError, KeyError):
            pass  # it went away, or it is no client of ours
        finally:
            if audience is not None:
                audience.writers.discard(writer)
            writer.close()

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """The control socket's commands; called from its thread, so it only reads."""
        if message.get("do") != "status":
            raise ValueError(f"do={message.get('do')!r}: only status")
        clients = sum(len(audience.writers) for audience in self.audiences)
        return {"ok": True, "present": sorted(self.present), "due": len(self.telling), "clients": clients}


async def run() -> None:
    """Watch and tell until SIGTERM."""
    delays_s = [float(text) for text in (os.environ.get("LAB_DELAYS_S") or "0.5,1.0,3.0").split(",")]
    recorder = Recorder(events_folder(), "registry")
    instances = await asyncio.to_thread(numbered, "backend", int(os.environ.get("LAB_INSTANCES") or 8))
    registry = Registry(recorder, os.environ.get("LAB_SERVICE") or "shop", instances, delays_s)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    control.serve(registry.answer)
    server = await asyncio.start_server(registry.serve, "0.0.0.0", PORT, backlog=1024)
    watching = [asyncio.create_task(registry.watch(node)) for node in instances]
    await over.wait()
    server.close()
    for task in watching:
        task.cancel()
    recorder.close()


def main() -> None:
    """Run until SIGTERM."""
    asyncio.run(run())
