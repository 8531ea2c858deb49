"""DNS' client: SRV records over UDP from one resolver, cached for exactly the TTL that remains, then asked for again.

The name is kept hot: it is asked for at the instant at which the cache expires, so that the old view ends when the
new one begins. A failed question is asked again (timeout_s doubling up to timeout_max_s); until then nothing is known.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from gevent import socket

from lab import clock
from lab.inside.alarm import Alarm, pause_until
from lab.inside.pick import Instance
from lab.inside.routes import known
from lab.inside.views import ClientView

DEFAULTS: dict[str, Any] = {
    "resolver": "resolver",
    "port": 53,
    "owner": "_shop._tcp.lab.test",
    "timeout_s": 0.2,
    "timeout_max_s": 1.0,
    "hold_min_s": 0.05,
}
UDP_PAYLOAD = 1232


class Failed(Exception):
    """A question without a usable answer; the message says why."""


class Answer(NamedTuple):
    """What an answer says: instances, and for how many seconds that may be believed."""

    instances: list[Instance]
    ttl_s: int


Ask = Callable[[str, dns.rdatatype.RdataType], dns.message.Message]


def read(message: dns.message.Message, owner: str, ask: Ask) -> Answer:
    """The instances of an SRV answer, with addresses from its additional section, else asked for with `ask`.

    The TTL is the smallest of all records used. No such name and no such record are answers too, believed for the
    negative TTL (RFC 2308). Raises Failed for any other response code.
    """
    if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise Failed(dns.rcode.to_text(message.rcode()).lower())
    name = dns.name.from_text(owner)
    records = _rrset(message.answer, name, dns.rdatatype.SRV)
    if records is None:
        return Answer([], _negative_ttl_s(message))
    ttl_s = records.ttl
    instances: list[Instance] = []
    for record in records:
        if record.target == dns.name.root:
            continue  # RFC 2782: decidedly not available
        found = _rrset(message.additional, record.target, dns.rdatatype.A)
        if found is None:
            found = _rrset(ask(record.target.to_text(), dns.rdatatype.A).answer, record.target, dns.rdatatype.A)
        if found is None:
            continue  # a target without an address is nobody
        ttl_s = min(ttl_s, found.ttl)
        node = record.target.labels[0].decode()
        instances += [Instance(node, a.address, record.port, record.priority, record.weight) for a in found]
    return Answer(sorted(instances), ttl_s)


def _rrset(
    section: list[dns.rrset.RRset], name: dns.name.Name, kind: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    return next((rrset for rrset in section if rrset.rdtype == kind and rrset.name == name), None)


def _negative_ttl_s(message: dns.message.Message) -> int:
    soa = next((rrset for rrset in message.authority if rrset.rdtype == dns.rdatatype.SOA), None)
    return min(soa.ttl, soa[0].minimum) if soa is not None else 1


class Resolver:
    """Questions to one resolver over one UDP socket, over TCP where an answer was cut off."""

    def __init__(self, host: str, port: int, rng: Random) -> None:
        self._where = (host, port)
        self._rng = rng
        self._line: Any = None

    def ask(self, owner: str, kind: dns.rdatatype.RdataType, timeout_s: float) -> dns.message.Message:
        """One question, one answer. Raises Failed when none comes in time."""
        number = self._rng.getrandbits(16)
        query = dns.message.make_query(owner, kind, use_edns=0, payload=UDP_PAYLOAD, id=number)
        deadline_ns = clock.now_ns() + int(timeout_s * clock.S)
        try:
            answer = self._by_udp(query, deadline_ns)
            return self._by_tcp(query, deadline_ns) if answer.flags & dns.flags.TC else answer
        except TimeoutError:
            raise Failed("timeout") from None
        except (OSError, dns.exception.DNSException) as error:
            self.close()
            # Nobody may ask again before the time is over: a dead resolver must not be hammered.
            pause_until(deadline_ns)
            raise Failed(str(error) or type(error).__name__) from error

    def _by_udp(self, query: dns.message.Message, deadline_ns: int) -> dns.message.Message:
        if self._line is None:
            self._line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._line.connect(self._where)
        self._line.send(query.to_wire())
        while True:
            self._line.settimeout(_left_s(deadline_ns))
            data = self._line.recv(65535)
            if data[:2] == query.id.to_bytes(2, "big"):  # else: late, to an earlier question
                answer = dns.message.from_wire(data, ignore_trailing=True)
                if query.is_response(answer):
                    return answer

    def _by_tcp(self, query: dns.message.Message, deadline_ns: int) -> dns.message.Message:
        with socket.create_connection(self._where, timeout=_left_s(deadline_ns)) as line:
            wire = query.to_wire()
            line.sendall(struct.pack("!H", len(wire)) + wire)
            data = b""
            while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
                line.settimeout(_left_s(deadline_ns))
                more = line.recv(65535)
                if not more:
                    raise ConnectionResetError("the resolver closed before it had answered")
                data += more
            return dns.message.from_wire(data[2:])

    def close(self) -> None:
        """Close the socket; the next question opens another."""
        if self._line is not None:
            self._line.close()
            self._line = None


def _left_s(deadline_ns: int) -> float:
    left_ns = deadline_ns - clock.now_ns()
    if left_ns <= 0:
        raise TimeoutError
    return left_ns / clock.S


class Dns:
    """Settings: resolver (name or address), port, owner of the SRV records, timeout_s, timeout_max_s, hold_min_s."""

    def __init__(self, view: ClientView, rng: Random, settings: dict[str, Any]) -> None:
        chosen = known(settings, DEFAULTS)
        self._view = view
        self._owner: str = chosen["owner"]
        self._timeouts_s = (float(chosen["timeout_s"]), float(chosen["timeout_max_s"]))
        self._hold_min_s = float(chosen["hold_min_s"])
        self._where = (str(chosen["resolver"]), int(chosen["port"]))
        self._resolver: Resolver | None = None
        self._rng = rng
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
                self._view.fail(f"dns: {error}")
                timeout_s = min(2 * timeout_s, most_s)
                continue
            timeout_s = least_s
            expires_ns = clock.now_ns() + int(max(ttl_s, self._hold_min_s) * clock.S)
            self._view.replace(instances, expires_ns)
            self._alarm.sleep_until(expires_ns)
            self._view.unsettle()

    def _ask(self, owner: str, kind: dns.rdatatype.RdataType, timeout_s: float = 0.0) -> dns.message.Message:
        assert self._resolver is not None
        return self._resolver.ask(owner, kind, timeout_s or self._timeouts_s[0])

    def close(self) -> None:
        """Close the socket."""
        if self._resolver is not None:
            self._resolver.close()
        self._alarm.close()


def make(view: ClientView, rng: Random, settings: dict[str, Any]) -> Dns:
    """The route of one client."""
    return Dns(view, rng, settings)
