"""The proxies of this pod's Toxiproxy and how slow they are: the only file that knows its client.

The client takes its server's address from class attributes, for the whole process, and it takes a server's failure
for a success. So the address is set before each use, one use at a time, and what counts is what is read back.
"""

from __future__ import annotations

import threading
from typing import Any

from toxiproxy import Toxiproxy  # type: ignore[import-untyped]
from toxiproxy.api import APIConsumer  # type: ignore[import-untyped]

API = ("127.0.0.1", 8474)
LATENCY = "lab"
"""The name of our toxic. It slows what the upstream sends: replication, not its acknowledgements."""

_turn = threading.Lock()


def toxics() -> dict[str, Any]:
    """{proxies: [{name, listen, upstream, enabled, latency_ms: 0 without}]} as the server says. Raises OSError."""
    with _turn:
        return {"proxies": _read(_server())}


def toxic(name: str, listen: str, upstream: str, latency_ms: float = 0) -> dict[str, Any]:
    """Make a proxy, or bring it to these settings; answers as `toxics`. Open connections live on where only the
    latency changes. Raises OSError where the server then tells something else."""
    wanted = {"name": name, "upstream": upstream, "enabled": True, "latency_ms": round(latency_ms)}
    with _turn:
        server = _server()
        proxy = server.get_proxy(name)
        # The server turns "0.0.0.0:5433" into "[::]:5433": the port is what tells.
        if proxy is not None and (proxy.upstream != upstream or _port(proxy.listen) != _port(listen)):
            server.destroy(proxy)
            proxy = None
        if proxy is None:
            proxy = server.create(upstream, name, listen)
        there = proxy.get_toxic(LATENCY)
        if there is not None and there.attributes.get("latency") != wanted["latency_ms"]:
            proxy.destroy_toxic(LATENCY)
            there = None
        if there is None and wanted["latency_ms"]:
            attributes = {"latency": wanted["latency_ms"], "jitter": 0}
            proxy.add_toxic(name=LATENCY, type="latency", stream="downstream", attributes=attributes)
        read = _read(server)
    found = next((row for row in read if row["name"] == name), {})
    if {key: found.get(key) for key in wanted} != wanted or _port(str(found.get("listen"))) != _port(listen):
        raise OSError(f"toxiproxy was told {wanted | {'listen': listen}} and says {found}")
    return {"proxies": read}


def _server() -> Any:
    APIConsumer.host, APIConsumer.port = API
    return Toxiproxy()


def _read(server: Any) -> list[dict[str, Any]]:
    rows = []
    for name, proxy in sorted(server.proxies().items()):
        found = proxy.get_toxic(LATENCY)
        latency_ms = found.attributes["latency"] if found is not None else 0
        about = {"name": name, "listen": proxy.listen, "upstream": proxy.upstream, "enabled": proxy.enabled}
        rows.append(about | {"latency_ms": latency_ms})
    return rows


def _port(address: str) -> str:
    return address.rpartition(":")[2]
