"""The load: clients that discover instances and call them, each with its own view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from lab.errors import BadInput
from lab.fields import check_number, check_whole
from lab.protocols import Fields


@dataclass(frozen=True, slots=True)
class HttpClients:
    """Clients in a pod of their own that discover instances and call them: open loop, Poisson arrivals, own views."""

    count: int
    rate_per_s: float
    """Of all clients together."""
    connect_timeout_s: float = 0.3
    deadline_s: float = 1.0
    """From the intended start."""
    pool: int = 8
    """Connections a client may have open."""
    retries: int = 1
    pick: Literal["srv", "random"] = "srv"
    """By RFC 2782's priorities and weights, or any instance alike."""
    service: str = "shop"
    kind: ClassVar[str] = "views"

    def __post_init__(self) -> None:
        for name in ("count", "pool"):
            check_whole("HttpClients", name, getattr(self, name), least=1)
        check_whole("HttpClients", "retries", self.retries, least=0)
        for name in ("rate_per_s", "connect_timeout_s", "deadline_s"):
            check_number("HttpClients", name, getattr(self, name), above=0)
        if self.deadline_s < self.connect_timeout_s:
            raise BadInput(
                f"HttpClients: deadline_s={self.deadline_s:g} is shorter than connect_timeout_s="
                f"{self.connect_timeout_s:g}; lower connect_timeout_s"
            )
        if self.pick not in ("srv", "random"):
            raise BadInput(f"HttpClients: pick={self.pick!r} is neither 'srv' nor 'random'")
        if not isinstance(self.service, str) or not self.service:
            raise BadInput(f"HttpClients: service={self.service!r} is not the name of a service")

    @property
    def compose_files(self) -> tuple[str, ...]:
        """Files below compose/."""
        return ("clients.yaml",)

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
        """As the clients' `begin` command takes them."""
        return {
            "clients": self.count,
            "rate_per_s": self.rate_per_s,
            "connect_timeout_s": self.connect_timeout_s,
            "deadline_s": self.deadline_s,
            "pool": self.pool,
            "retries": self.retries,
            "pick": self.pick,
            "service": self.service,
        }
