"""Replication lag: what servers send each other through the link comes later by so many milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.errors import BadInput
from lab.faults import links
from lab.fields import check_number
from lab.protocols import Evidence, Injection, Site

PROXY = "127.0.0.1"
PROBE_S = 2.0
MOST_MS = 60_000
LEAST = 0.95
"""How much of the lag a probe through the link must see."""


@dataclass(frozen=True, slots=True)
class ReplicationLag:
    """Slow every proxy of the target, which is a link, down to `ms`; what comes back upstream is not slowed."""

    ms: float
    name: ClassVar[str] = "replication_lag"
    needs: ClassVar[frozenset[str]] = frozenset({"signal"})
    leaves: ClassVar[str] = "alive"
    holds_until_healed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_number("ReplicationLag", "ms", self.ms, least=0, most=MOST_MS)
        if self.ms != round(self.ms):
            raise BadInput(f"ReplicationLag: ms={self.ms:g} must be whole milliseconds: Toxiproxy knows no other")

    def fits(self, targets: Sequence[tuple[str, str]], nodes: Sequence[tuple[str, str]]) -> None:
        """Whether there is a link, and it is what is struck. Raises BadInput."""
        links.check_link("ReplicationLag", nodes)
        for target, role in targets:
            if role != links.ROLE:
                raise BadInput(f"ReplicationLag: {target} is not a link; its target is every({links.ROLE!r})")

    def inject(self, site: Site) -> Injection:
        before = links.proxies(site.target)
        after_ns = site.target.tell("ping")["t_ns"]
        links.set_up(site.target, [proxy | {"latency_ms": self.ms} for proxy in before])
        before_ns = site.target.tell("ping")["t_ns"]
        return Injection(site.target.name, after_ns, before_ns, {"proxies": before})

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        proxies = site.target.tell("toxics")["proxies"]
        slowed = bool(proxies) and all(proxy["latency_ms"] == round(self.ms) for proxy in proxies)
        measured = {}
        for proxy in proxies:
            port = int(proxy["listen"].rpartition(":")[2])
            seen = site.target.tell("ask", probe="greet", host=PROXY, port=port, timeout_s=PROBE_S + self.ms / 1e3)
            measured[proxy["name"]] = round(seen["took_ns"] / 1e6, 1) if seen["reached"] else None
        # A server that does not answer leaves what Toxiproxy says of itself.
        felt = all(ms is None or ms >= LEAST * self.ms for ms in measured.values())
        return {"holds": slowed and felt, "slowed": slowed, "felt": felt, "proxies": proxies, "measured_ms": measured}

    def heal(self, site: Site, injection: Injection) -> None:
        links.set_up(site.target, injection.details["proxies"])
