"""HAProxy as the child of a process that writes its configuration and records what it says of its servers.

Its check is OPTIONS /primary of every Patroni's REST API (a GET would make Patroni log a traceback for every check,
for HAProxy hangs up before the body). A server that fails is taken out and its sessions are ended.
Events (writer haproxy): proxy.state {node, up, line} at the instant at which HAProxy's line had come; lag and stall.
Control: {"do": "status"} -> {"ok", "up": [nodes that clients are let through to]}.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lab.clock import now_ns
from lab.history import SharedRecorder
from lab.inside import control
from lab.inside.database.patroni import REST_PORT
from lab.inside.database.places import PORT as POSTGRES_PORT
from lab.inside.naming import events_folder, numbered
from lab.inside.ticker import Ticker

PORT = 5000
CONFIG = Path("/tmp/haproxy.cfg")
BACKEND = "primary"
_STATE = re.compile(rf"Server {BACKEND}/(\S+) is (UP|DOWN)")


def configuration(servers: Mapping[str, str], settings: Mapping[str, str]) -> str:
    """haproxy.cfg for servers {node: address}, from the LAB_PROXY_ variables."""

    def ms(name: str, default_s: float) -> str:
        return f"{round(float(settings.get(name) or default_s) * 1000)}ms"

    check, fast = ms("LAB_PROXY_CHECK_S", 1.0), ms("LAB_PROXY_FAST_S", 0.2)
    fall, rise = settings.get("LAB_PROXY_FALL") or "2", settings.get("LAB_PROXY_RISE") or "1"
    lines = [
        "global",
        "  log stdout format raw local0",
        "  maxconn 2000",
        "defaults",
        "  mode tcp",
        "  log global",
        f"  timeout connect {ms('LAB_PROXY_CONNECT_S', 1.0)}",
        "  timeout client 1h",
        "  timeout server 1h",
        "  retries 0",
        f"listen {BACKEND}",
        f"  bind *:{PORT}",
        "  option httpchk OPTIONS /primary",
        "  option log-health-checks",
        "  http-check expect status 200",
        f"  default-server inter {check} fastinter {fast} downinter {fast} fall {fall} rise {rise} "
        "on-marked-down shutdown-sessions",
        *(f"  server {node} {address}:{POSTGRES_PORT} check port {REST_PORT}" for node, address in servers.items()),
    ]
    return "\n".join(lines) + "\n"


class Proxy:
    """Whom HAProxy calls up, from its own lines."""

    def __init__(self, events: SharedRecorder, servers: Iterable[str]) -> None:
        self.events = events
        # HAProxy takes a server for well until a check has failed, and says nothing of one whose first check is good.
        self.up = set(servers)

    def read(self, lines: Iterable[str]) -> None:
        """Take in HAProxy's lines until they end; print those that tell of servers, for the node's log."""
        for line in lines:
            came_ns = now_ns()
            if (state := _STATE.search(line)) is None:
                if "Connect from" not in line:  # one a connection: nobody reads them, and they fill the disk
                    print(line, end="", flush=True)
                continue
            node, up = state[1], state[2] == "UP"
            if up != (node in self.up):  # it says so twice: in its log, and as a warning
                (self.up.add if up else self.up.discard)(node)
                self.events.record("proxy.state", came_ns, node=node, up=up, line=line.strip())
            print(line, end="", flush=True)

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """The control socket's commands; it only reads."""
        if message.get("do") != "status":
            raise ValueError(f"do={message.get('do')!r}: only status")
        return {"ok": True, "up": sorted(self.up)}


def main() -> int:
    """Run HAProxy until it or this process is ended."""
    events = SharedRecorder(events_folder(), "haproxy")
    servers = numbered("postgres", int(os.environ.get("LAB_POSTGRES") or 3))
    CONFIG.write_text(configuration(servers, os.environ))
    proxy = Proxy(events, servers)
    control.serve(proxy.answer)
    child = subprocess.Popen(
        ["haproxy", "-db", "-f", str(CONFIG)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    assert child.stdout is not None
    ticking = threading.Thread(target=Ticker(events).run, name="ticker", daemon=True)
    ticking.start()
    proxy.read(child.stdout)
    ended = child.wait()
    print(f"haproxy: ended with {ended}", file=sys.stderr)
    return abs(ended)
