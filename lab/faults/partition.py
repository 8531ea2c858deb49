"""Partition: the network between a node and others loses every packet, both ways or one way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.faults import cutting
from lab.fields import check_word
from lab.protocols import Evidence, Fields, Injection, Site


@dataclass(frozen=True, slots=True)
class Partition:
    """Drop what the target and the nodes of `away_from` (names or roles; none: everybody) send each other.

    `direction` is seen from the target: "in" loses what comes to it, "out" what it sends. Its own `lo` and the
    management port 5999 stay; the servers live, and nobody is told.
    """

    away_from: tuple[str, ...] = ()
    direction: str = "both"
    name: ClassVar[str] = "partition"
    needs: ClassVar[frozenset[str]] = frozenset({"packets"})
    leaves: ClassVar[str] = "alive"
    holds_until_healed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "away_from", cutting.words_of("Partition", self.away_from))
        check_word("Partition", "direction", self.direction, tuple(cutting.DIRECTIONS))

    def fits(self, targets: Sequence[tuple[str, str]], nodes: Sequence[tuple[str, str]]) -> None:
        """Whether there is whom it cuts off, and from whom. Raises BadInput."""
        cutting.check_peers("Partition", self.away_from, targets, nodes)

    def inject(self, site: Site) -> Injection:
        return cutting.cut(site, self.away_from, (), self.direction, "drop")

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        return cutting.evidence(site, injection, self.away_from, (), self.direction, "drop")

    def heal(self, site: Site, injection: Injection) -> Fields:
        return cutting.uncut(site, injection)
