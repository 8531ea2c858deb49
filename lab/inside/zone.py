"""A service in a DNS zone: SRV records name its instances, A records their addresses.

    _shop._tcp.lab.test.  5  SRV  0 100 8080 backend3.lab.test.
    backend3.lab.test.    5  A    10.99.0.13

Taking an instance away takes its SRV record only: its address belongs to the host, not to the service, and a client
that still holds the old set must not be left with a target that has no address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

ZONE = "lab.test"
PRIORITY = 0
WEIGHT = 100
"""Equal weights, and large ones: the rule of RFC 2782 favours the first of several small ones."""
TRY_S = 0.5


class Refused(Exception):
    """The nameserver answered, but not with success."""


Failed = (dns.exception.DNSException, OSError, Refused)
"""What an exchange with a nameserver raises when it did not succeed."""


@dataclass(slots=True)
class Zone:
    """The lab's zone, as its registrar sees it: an UPDATE to the primary, questions to both."""

    service: str
    primary: str
    secondary: str
    secret: str
    ttl_s: int
    port: int
    _key: dns.tsig.Key = field(init=False)
    _question: dns.message.QueryMessage = field(init=False)

    def __post_init__(self) -> None:
        self._key = dns.tsig.Key("lab", self.secret, "hmac-sha256")
        self._question = dns.message.make_query(f"{self.owner}.{ZONE}", "SRV")

    @property
    def owner(self) -> str:
        """The SRV record's name within the zone."""
        return f"_{self.service}._tcp"

    async def served(self, server: str) -> frozenset[str]:
        """The nodes that a nameserver names now. Raises one of Failed."""
        answer, _ = await dns.asyncquery.udp_with_fallback(self._question, server, timeout=TRY_S)
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise Refused(f"{server}: {dns.rcode.to_text(answer.rcode())}")
        targets = [item.target for rrset in answer.answer if rrset.rdtype == dns.rdatatype.SRV for item in rrset]
        return frozenset(target.labels[0].decode() for target in targets)

    async def change(self, present: Mapping[str, bool], addresses: Mapping[str, str]) -> None:
        """Add and take away instances in one UPDATE; returns when ns1 has acknowledged. Raises one of Failed."""
        update = dns.update.UpdateMessage(ZONE, keyring=self._key)
        for node, there in sorted(present.items()):
            record = f"{PRIORITY} {WEIGHT} {self.port} {node}.{ZONE}."
            if there:
                update.add(self.owner, self.ttl_s, "SRV", record)
                update.replace(node, self.ttl_s, "A", addresses[node])
            else:
                update.delete(self.owner, "SRV", record)
        answer = await dns.asyncquery.udp(update, self.primary, timeout=TRY_S)
        if answer.rcode() != dns.rcode.NOERROR:
            raise Refused(f"ns1: UPDATE: {dns.rcode.to_text(answer.rcode())}")
