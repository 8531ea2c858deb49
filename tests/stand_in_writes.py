"""A database, a failover, routes and a load for tests of what a person writes: settings and promises only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab import Arm, Scenario, Strike, bound, leader, total, worst
from lab.errors import BadInput
from lab.faults import Crash
from lab.measures import lost_writes, outage_s
from lab.protocols import Bounds, ClientRoute, Fields, Phase, Stack, System
from tests.stand_in import Backends


@dataclass(frozen=True)
class Database(Backends):
    """Servers postgres1..N, the first of which leads."""

    instances: int = 3
    max_connections: int = 100
    name: str = "postgres"

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        return tuple((f"postgres{i}", "postgres") for i in range(1, self.instances + 1))

    @property
    def settings(self) -> Fields:
        return {"instances": self.instances, "max_connections": self.max_connections}


@dataclass(frozen=True)
class Promoter(Database):
    """Promotes `detection_s` after a crash at the latest; promises nothing for a pause."""

    instances: int = 0
    detection_s: float = 2.0
    name: str = "promoter"
    fails_over: ClassVar[bool] = True

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        return (("promoter", "promoter"),)

    @property
    def settings(self) -> Fields:
        return {"detection_s": self.detection_s}

    def leader(self, stack: Stack) -> str | None:
        return None

    def bounds(self, change: str) -> Bounds | None:
        if change != "crash":
            return None
        detection = Phase("detection", 1.0, self.detection_s, f"detection_s ({self.detection_s:g})", mean_s=1.2)
        return Bounds((detection, Phase("promotion", 0.0, 0.1)))


@dataclass(frozen=True)
class Way:
    """A route through a system of that name, or straight."""

    label: str = "straight"
    through: str = ""
    client_s: float = 0.5
    kind: ClassVar[str] = "multi_host"

    @property
    def settings(self) -> Fields:
        return {"deadline_s": 1.0, "client_s": self.client_s}

    def check_beside(self, systems: Sequence[System]) -> None:
        if self.through and self.through not in {system.name for system in systems}:
            raise BadInput(f"Way: {self.label} goes through {self.through}, which the arm does not have")

    def phases(self, change: str, systems: Sequence[System]) -> tuple[Phase, ...]:
        return (Phase("client", 0.0, self.client_s, f"client_s ({self.client_s:g})"),)


@dataclass(frozen=True)
class Writers:
    """Writes that nobody sends."""

    rate_per_s: float = 200.0
    pool: int = 16
    kind: ClassVar[str] = "writes"
    count: ClassVar[int] = 1
    deadline_s: ClassVar[float] = 1.0
    compose_files: ClassVar[tuple[str, ...]] = ("writers.yaml",)
    nodes: ClassVar[tuple[tuple[str, str], ...]] = (("clients", "clients"),)
    environment: ClassVar[Mapping[str, str]] = {}

    @property
    def settings(self) -> Fields:
        return {"rate_per_s": self.rate_per_s, "pool": self.pool}


def arm(name: str = "only", routes: Sequence[ClientRoute] = (Way(), Way("slow", client_s=3.0))) -> Arm:
    """An arm with two routes."""
    return Arm(name, Database(), Promoter(), routes=routes)


def scenario(**changed: object) -> Scenario:
    """One arm, a crash of whoever leads, two objectives; with some fields changed."""
    fields: dict[str, object] = {
        "arms": [arm()],
        "load": Writers(),
        "strikes": [Strike(Crash(), target=leader("postgres"))],
        "objectives": [worst(outage_s) <= bound(), total(lost_writes) <= 0],
    }
    return Scenario(**{**fields, **changed})  # type: ignore[arg-type]  # what a person may write wrongly is tested
