"""The primary's name in DNS: an own stub asks the resolver, and believes the answer for exactly the TTL that remains.

The name is kept hot, as in discovery (lab.inside.routes.dns): asked for again at the instant at which it expires. Until
there is an answer again nobody knows where to connect to.
"""

from __future__ import annotations

from random import Random
from typing import Any

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from gevent import socket

from lab import clock
from lab.inside.alarm import Alarm
from lab.inside.paths import Learned, Servers, Target, Unknown
from lab.inside.routes import known
from lab.inside.routes.dns import Failed, Resolver

DEFAULTS: dict[str, Any] = {
    "resolver": "resolver",
    "resolver_port": 53,
    "owner": "primary.lab.test",
    "port": 5432,
    "timeout_s": 0.2,
    "timeout_max_s": 1.0,
    "hold_min_s": 0.05,
}


def read(message: dns.message.Message, owner: str) -> tuple[str | None, int]:
    """The address that an answer gives, None where there is none, and for how many seconds that may be believed.

    No such name and no such record are answers too. Raises Failed for any other response code.
    """
    if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise Failed(dns.rcode.to_text(message.rcode()).lower())
    name = dns.name.from_text(owner)
    for rrset in message.answer:
        if rrset.rdtype == dns.rdatatype.A and rrset.name == name:
            return str(rrset[0].address), int(rrset.ttl)
    soa = next((rrset for rrset in message.authority if rrset.rdtype == dns.rdatatype.SOA), None)
    return None, int(min(soa.ttl, soa[0].minimum)) if soa is not None else 1


class Dns:
    """Settings: resolver (name or address), resolver_port, owner of the A record, port, and three times in seconds."""

    def __init__(self, servers: Servers, rng: Random, learned: Learned, settings: dict[str, Any]) -> None:
        chosen = known(settings, DEFAULTS)
        self._where = (str(chosen["resolver"]), int(chosen["resolver_port"]))
        self._owner: str = chosen["owner"]
        self._port = int(chosen["port"])
        self._node_of = {address: node for node, address in servers.items()}
        self._timeouts_s = (float(chosen["timeout_s"]), float(chosen["timeout_max_s"]))
        self._hold_min_s = float(chosen["hold_min_s"])
        self._rng = rng
        self._learned = learned
        self._resolver: Resolver | None = None
        self._found: str | None = None
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
                address, ttl_s = read(self._resolver.ask(self._owner, dns.rdatatype.A, timeout_s), self._owner)
            except Failed as error:
                self._believe(None, f"dns: {error}")
                timeout_s = min(2 * timeout_s, most_s)
                continue
            timeout_s = least_s
            self._believe(address, "dns: nobody is the primary")
            self._alarm.sleep_until(clock.now_ns() + int(max(ttl_s, self._hold_min_s) * clock.S))

    def _believe(self, address: str | None, why: str) -> None:
        if address != self._found:
            self._learned(None if address is None else self._node_of.get(address, address))
        self._found, self._why = address, why

    def target(self) -> Target:
        """What the last answer said."""
        if self._found is None:
            raise Unknown(self._why)
        return Target(((self._node_of.get(self._found, self._found), self._found),), self._port)

    def close(self) -> None:
        """Close the socket."""
        if self._resolver is not None:
            self._resolver.close()
        self._alarm.close()


def make(servers: Servers, rng: Random, learned: Learned, settings: dict[str, Any]) -> Dns:
    """The path of one route."""
    return Dns(servers, rng, learned, settings)
