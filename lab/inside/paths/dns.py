"""The primary's name in DNS: an own stub asks the resolver, and believes the answer for exactly the TTL that remains.

The name is kept hot, as in discovery (lab.inside.routes.dns): asked for again at the instant at which it expires. Until
there is an answer again nobody knows where to connect to.
"""

from __future__ import annotations

from random import Random
from typing import Any

import dns.message
import dns.rdatatype
from gevent import socket

from lab import clock
from lab.inside.alarm import Alarm
from lab.inside.paths import Learned, Servers, Target, Unknown
from lab.inside.pick import Instance
from lab.inside.routes import known
from lab.inside.routes.dns import Failed, Resolver, read

DEFAULTS: dict[str, Any] = {
    "resolver": "resolver",
    "resolver_port": 53,
    "owner": "_primary._tcp.lab.test",
    "timeout_s": 0.2,
    "timeout_max_s": 1.0,
    "hold_min_s": 0.05,
}


class Dns:
    """Settings: resolver (name or address), resolver_port, owner (of the SRV record), and three times in seconds."""

    def __init__(self, rng: Random, learned: Learned, settings: dict[str, Any]) -> None:
        chosen = known(settings, DEFAULTS)
        self._where = (str(chosen["resolver"]), int(chosen["resolver_port"]))
        self._owner: str = chosen["owner"]
        self._timeouts_s = (float(chosen["timeout_s"]), float(chosen["timeout_max_s"]))
        self._hold_min_s = float(chosen["hold_min_s"])
        self._rng = rng
        self._learned = learned
        self._resolver: Resolver | None = None
        self._found: Instance | None = None
        self._why = "not asked yet"
        self._alarm = Alarm()

    def run(self) -> None:
        """Ask, hold until it expires, ask again, for ever."""
        host, port = self._where
        self._resolver = Resolver(socket.gethostbyname(host), port, self._rng)
        least_s, most_s = self._timeouts_s
        timeout_s = least_s
        while True:
            try:
                instances, ttl_s = read(self._ask(self._owner, dns.rdatatype.SRV, timeout_s), self._owner, self._ask)
            except Failed as error:
                self._believe(None, f"dns: {error}")
                timeout_s = min(2 * timeout_s, most_s)
                continue
            timeout_s = least_s
            self._believe(instances[0] if instances else None, "dns: nobody is the primary")
            self._alarm.sleep_until(clock.now_ns() + int(max(ttl_s, self._hold_min_s) * clock.S))

    def _ask(self, owner: str, kind: dns.rdatatype.RdataType, timeout_s: float = 0.0) -> dns.message.Message:
        assert self._resolver is not None
        return self._resolver.ask(owner, kind, timeout_s or self._timeouts_s[0])

    def _believe(self, found: Instance | None, why: str) -> None:
        if found != self._found:
            self._learned(found.node if found is not None else None)
        self._found, self._why = found, why

    def target(self) -> Target:
        """What the last answer said."""
        if self._found is None:
            raise Unknown(self._why)
        return Target(((self._found.node, self._found.address),), self._found.port)

    def close(self) -> None:
        """Close the socket."""
        if self._resolver is not None:
            self._resolver.close()
        self._alarm.close()


def make(_servers: Servers, rng: Random, learned: Learned, settings: dict[str, Any]) -> Dns:
    """The path of one route."""
    return Dns(rng, learned, settings)
