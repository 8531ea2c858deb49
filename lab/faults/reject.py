"""Reject: a firewall answers with RST where a server was: everybody is told at once, and nothing has died."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.errors import BadInput
from lab.faults import cutting
from lab.fields import check_whole
from lab.protocols import Evidence, Fields, Injection, Site


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer packets of these ports with RST, to and from the nodes of `away_from` (names or roles; none: everybody).

    New connections are refused, and those that are open break with the first packet of either side. The instant is
    known to a millisecond or two, and so is the end: an outage of a length that is known beforehand.
    """

    ports: tuple[int, ...] = (5432,)
    away_from: tuple[str, ...] = ()
    name: ClassVar[str] = "reject"
    needs: ClassVar[frozenset[str]] = frozenset({"packets"})
    leaves: ClassVar[str] = "alive"
    holds_until_healed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.ports, tuple | list):
            raise BadInput(f"Reject: ports={self.ports!r} is not a list of ports, e.g. ports=(5432,)")
        object.__setattr__(self, "ports", tuple(self.ports))
        object.__setattr__(self, "away_from", cutting.words_of("Reject", self.away_from))
        if not self.ports:
            raise BadInput("Reject: ports=() rejects nothing; name at least one")
        if len(self.ports) > cutting.MOST_PORTS:
            raise BadInput(f"Reject: ports has {len(self.ports)} of them; at most {cutting.MOST_PORTS}")
        for port in self.ports:
            check_whole("Reject", "ports", port, least=1, most=65535)

    def fits(self, targets: Sequence[tuple[str, str]], nodes: Sequence[tuple[str, str]]) -> None:
        """Whether there is whom it cuts off, and from whom. Raises BadInput."""
        cutting.check_peers("Reject", self.away_from, targets, nodes)

    def inject(self, site: Site) -> Injection:
        return cutting.cut(site, self.away_from, self.ports, "both", "reset")

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        return cutting.evidence(site, injection, self.away_from, self.ports, "both", "reset")

    def heal(self, site: Site, injection: Injection) -> Fields:
        return cutting.uncut(site, injection)
