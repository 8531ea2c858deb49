"""The load: writers that keep inserting rows into a database, through every route of an arm at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lab.fields import check_number, check_whole
from lab.protocols import Fields

MOST_POOL = 1000
MOST_PER_S = 10_000
"""Of a pod that is one process; it falls behind much earlier, and the lab says so."""


@dataclass(frozen=True, slots=True)
class SqlWriters:
    """Writers in a pod of their own: open loop, Poisson arrivals, the same ones for every route; a pool of connections
    for each route, opened beforehand, and a reader beside it that looks what has been written.
    """

    rate_per_s: float = 200.0
    """Of each route."""
    pool: int = 16
    """Connections of each route: a write that finds all of them busy waits for one."""
    read_every_s: float = 0.2
    retry_pause_s: float = 0.02
    """After anything that failed, before it is tried again."""
    kind: ClassVar[str] = "writes"

    def __post_init__(self) -> None:
        check_whole("SqlWriters", "pool", self.pool, least=1, most=MOST_POOL)
        check_number("SqlWriters", "rate_per_s", self.rate_per_s, above=0, most=MOST_PER_S)
        check_number("SqlWriters", "read_every_s", self.read_every_s, above=0)
        check_number("SqlWriters", "retry_pause_s", self.retry_pause_s, least=0.001)

    @property
    def count(self) -> int:
        """Writers of each route."""
        return self.pool

    @property
    def deadline_s(self) -> float:
        """Of a route that says nothing else: each has its own."""
        return 0.3

    @property
    def compose_files(self) -> tuple[str, ...]:
        """Files below compose/."""
        return ("writers.yaml",)

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        """(node, role) of its pod."""
        return (("clients", "clients"),)

    @property
    def environment(self) -> Mapping[str, str]:
        """It needs none: its settings come with the command that begins a trial."""
        return {}

    @property
    def settings(self) -> Fields:
        """As the writers' `begin` command takes them."""
        return {
            "rate_per_s": self.rate_per_s,
            "pool": self.pool,
            "read_every_s": self.read_every_s,
            "retry_pause_s": self.retry_pause_s,
        }
