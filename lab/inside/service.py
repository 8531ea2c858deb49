"""The sample service: one instance of a small HTTP service that says who it is, and leaves politely when asked.

GET /        200 {"node": "backend3", "incarnation": 1}
GET /health  200 "ok", or 503 "draining" once SIGTERM was taken

Registry (LAB_REGISTRY): "zookeeper" - it registers itself; "dns" - a registrar asks /health; "none" - nobody knows it.
SIGTERM: it deregisters, serves LAB_DRAIN_S more (LAB_DEFAULT_DRAIN_S where that is empty) and exits; a second SIGTERM
ends the drain. Events (writer service/NODE): instance.up, instance.leaving, instance.down.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from lab.history import Recorder
from lab.inside.naming import events_folder, numbered, own_address, own_name

if TYPE_CHECKING:
    from lab.inside.registration import Registration

PORT = 8080
HEAD_BYTES = 16384


def response(status: str, body: bytes, kind: str, *, close: bool = False) -> bytes:
    """A whole HTTP/1.1 response."""
    last = "Connection: close\r\n" if close else ""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{last}\r\n"
    return head.encode() + body


class Answers:
    """Ready-made responses of this incarnation; made once, so that a request costs a look-up and a write."""

    def __init__(self, node: str, incarnation: int) -> None:
        body = orjson.dumps({"node": node, "incarnation": incarnation})
        self.draining = False
        self.root = response("200 OK", body, "application/json")
        # A draining instance wants its pooled connections gone before it goes: no request is lost in a closing one.
        self.last_root = response("200 OK", body, "application/json", close=True)
        self.health = response("200 OK", b"ok", "text/plain")
        self.unhealthy = response("503 Service Unavailable", b"draining", "text/plain", close=True)
        self.missing = response("404 Not Found", b"not found", "text/plain")
        self.refused = response("405 Method Not Allowed", b"GET only", "text/plain", close=True)

    def to(self, head: bytes) -> tuple[bytes, bool]:
        """The response to a request's head, and whether the connection ends with it."""
        line = head[: head.find(b"\r\n")] if b"\r\n" in head else head
        method, _, rest = line.partition(b" ")
        target, _, version = rest.partition(b" ")
        if method != b"GET":
            return self.refused, True
        close = version != b"HTTP/1.1" or b"connection: close" in head.lower()
        if target == b"/":
            return (self.last_root, True) if self.draining else (self.root, close)
        if target == b"/health":
            return (self.unhealthy, True) if self.draining else (self.health, close)
        return self.missing, close


class Connection(asyncio.Protocol):
    """One client's connection: keep-alive, pipelining, no bodies."""

    __slots__ = ("_answers", "_open", "_rest", "_transport")

    def __init__(self, answers: Answers, open_ones: set[asyncio.Transport]) -> None:
        self._answers = answers
        self._open = open_ones
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            answer, close = self._answers.to(data[:end])
            self._transport.write(answer)
            if close:
                self._transport.close()
                return
            data = data[end + 4 :]
        self._rest = data
        if len(data) > HEAD_BYTES:
            self._transport.abort()


class Instance:
    """This instance from its first request to its last."""

    def __init__(self) -> None:
        self.service = os.environ.get("LAB_SERVICE") or "shop"
        self.node = own_name()
        self.address = own_address()
        self.events = Recorder(events_folder(), f"service/{self.node}")
        self.answers = Answers(self.node, self.events.incarnation)
        self.connections: set[asyncio.Transport] = set()
        self.terms = 0
        self.asked = asyncio.Event()
        self.registration: Registration | None = None
        self.registering: threading.Thread | None = None

    def on_term(self) -> None:
        """The first SIGTERM begins the goodbye, the second ends the drain."""
        self.terms += 1
        self.asked.set()

    async def run(self) -> None:
        """Serve until asked to leave, then leave."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.on_term)
        server = await loop.create_server(
            lambda: Connection(self.answers, self.connections), "0.0.0.0", PORT, backlog=1024, reuse_address=True
        )
        about: dict[str, Any] = {"service": self.service, "node": self.node, "incarnation": self.events.incarnation}
        self.events.record("instance.up", address=self.address, port=PORT, **about)
        if os.environ.get("LAB_REGISTRY") == "zookeeper":
            self.registering = threading.Thread(target=self.register, name="register", daemon=True)
            self.registering.start()
        await self.asked.wait()
        self.asked.clear()
        drain_s = float(os.environ.get("LAB_DRAIN_S") or os.environ.get("LAB_DEFAULT_DRAIN_S") or 0)
        self.answers.draining = True
        self.events.record("instance.leaving", drain_s=drain_s, **about)
        await asyncio.to_thread(self.deregister)
        with suppress(TimeoutError):  # the usual end of a drain
            await asyncio.wait_for(self.asked.wait(), drain_s)
        # Recorded first: whoever is refused from here on was refused by an instance that is known to be down.
        self.events.record("instance.down", **about)
        server.close()
        for transport in list(self.connections):
            transport.close()
        await asyncio.sleep(0)

    def register(self) -> None:
        """Take kazoo in and register; in a thread, so that the first requests do not wait for an import."""
        from lab.inside import registration

        servers = [
            f"{address}:2181" for address in numbered("zookeeper", int(os.environ.get("LAB_ZOOKEEPERS") or 3)).values()
        ]
        session_s = float(os.environ.get("LAB_SESSION_TIMEOUT_S") or 4)
        instance = registration.Instance(self.service, self.node, self.events.incarnation, self.address, PORT)
        self.registration = registration.Registration(servers, session_s, instance)

    def deregister(self) -> None:
        """Withdraw from ZooKeeper; with DNS the registrar reads the goodbye from /health."""
        if self.registering is not None:
            self.registering.join()
        if self.registration is not None:
            self.registration.withdraw()

    def close(self) -> None:
        """End the session and the file."""
        if self.registration is not None:
            self.registration.close()
        self.events.close()


async def serve() -> None:
    """One instance, from start to end."""
    instance = Instance()
    await instance.run()
    instance.close()


def main() -> None:
    """Run until SIGTERM has been answered."""
    asyncio.run(serve())
