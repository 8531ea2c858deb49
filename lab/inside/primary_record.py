"""A database's primary in a DNS zone: its address under one name, and an SRV record that names it.

primary.lab.test.         2  A    10.99.0.12
_postgres._tcp.lab.test.  2  SRV  0 100 5432 postgres2.lab.test.
postgres2.lab.test.       2  A    10.99.0.12
"""

from __future__ import annotations

from dataclasses import dataclass, field

import dns.asyncquery
import dns.message
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from lab.inside.primary_choice import Primary
from lab.inside.zone import PRIORITY, TRY_S, WEIGHT, ZONE, Failed, Refused

NAME = "primary"
OWNER = "_postgres._tcp"
PORT = 5432

__all__ = ["Failed", "Record"]


@dataclass(slots=True)
class Record:
    """Where the primary is, as DNS says it: an UPDATE to ns1, a question to ns2."""

    primary: str
    secondary: str
    secret: str
    ttl_s: int
    server: str = "ns1"
    _key: dns.tsig.Key = field(init=False)
    _question: dns.message.QueryMessage = field(init=False)

    def __post_init__(self) -> None:
        self._key = dns.tsig.Key("lab", self.secret, "hmac-sha256")
        self._question = dns.message.make_query(f"{NAME}.{ZONE}", "A")

    async def put(self, found: Primary) -> None:
        """Say it; returns when ns1 has acknowledged. Raises one of Failed."""
        update = dns.update.UpdateMessage(ZONE, keyring=self._key)
        update.replace(NAME, self.ttl_s, "A", found.address)
        update.replace(OWNER, self.ttl_s, "SRV", f"{PRIORITY} {WEIGHT} {PORT} {found.node}.{ZONE}.")
        update.replace(found.node, self.ttl_s, "A", found.address)
        answer = await dns.asyncquery.udp(update, self.primary, timeout=TRY_S)
        if answer.rcode() != dns.rcode.NOERROR:
            raise Refused(f"ns1: UPDATE: {dns.rcode.to_text(answer.rcode())}")

    async def propagated(self, found: Primary) -> bool:
        """Whether ns2 says so too. Raises one of Failed."""
        answer = await dns.asyncquery.udp(self._question, self.secondary, timeout=TRY_S)
        addresses = [a.address for rrset in answer.answer if rrset.rdtype == dns.rdatatype.A for a in rrset]
        return addresses == [found.address]
