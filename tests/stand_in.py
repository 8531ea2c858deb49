"""A system and a backend for tests of what a person writes: settings and promises, no containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab import Arm, HttpClients, Scenario, Strike, bound, difference, some, worst
from lab.errors import BadInput
from lab.faults import Crash
from lab.measures import dead_but_listed_s
from lab.protocols import Beat, Bounds, Fields, Phase, Route, Stack


@dataclass(frozen=True)
class Backends:
    """Backends, of which the last `spare` do not serve when a trial begins."""

    instances: int = 8
    spare: int = 0
    name: str = "service"

    @property
    def compose_files(self) -> tuple[str, ...]:
        return ("service.yaml",)

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        return tuple((f"backend{i}", "backend") for i in range(1, self.instances + 1))

    @property
    def spare_nodes(self) -> tuple[str, ...]:
        return tuple(node for node, _ in self.nodes[self.instances - self.spare :])

    @property
    def environment(self) -> Mapping[str, str]:
        return {"LAB_INSTANCES": str(self.instances)}

    @property
    def settings(self) -> Fields:
        return {"instances": self.instances}

    @property
    def beat_s(self) -> float:
        return 0.0

    def route(self) -> Route | None:
        return None

    def bounds(self, change: str) -> Bounds | None:
        return None

    def beat(self, stack: Stack) -> Beat | None:
        return None

    def lacking(self, stack: Stack) -> Sequence[str]:
        return ()

    def leader(self, stack: Stack) -> str | None:
        return None

    def reset(self, stack: Stack) -> None:
        return None


@dataclass(frozen=True)
class Names(Backends):
    """A registry that promises: detection 1 to 2 s, then a cache of `ttl_s`."""

    ttl_s: float = 5.0
    exact: bool = False
    instances: int = 0
    name: str = "names"

    def __post_init__(self) -> None:
        if self.ttl_s < 0:
            raise BadInput(f"Names: ttl_s={self.ttl_s:g} must be at least 0")

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        return (("ns1", "nameserver"), ("ns2", "nameserver"), ("resolver", "resolver"))

    @property
    def spare_nodes(self) -> tuple[str, ...]:
        return ()

    @property
    def settings(self) -> Fields:
        return {"ttl_s": self.ttl_s}

    @property
    def beat_s(self) -> float:
        return self.ttl_s

    def route(self) -> Route | None:
        return Route("dns", {"server": "resolver"})

    def bounds(self, change: str) -> Bounds | None:
        cache = Phase("client cache", 0.0, self.ttl_s + 1.0, f"ttl_s ({self.ttl_s:g})")
        return Bounds((Phase("detection", 1.0, 2.0, "check_interval_s (1)"), cache))


@dataclass(frozen=True)
class Silent(Names):
    """A registry that promises nothing."""

    name: str = "silent"

    def bounds(self, change: str) -> Bounds | None:
        return None


def scenario(**changed: object) -> Scenario:
    """Two arms, four staggered crashes a trial, two objectives; with some fields changed."""
    slow, quick = Arm("slow", Backends(), Names(ttl_s=5.0)), Arm("quick", Backends(), Names(ttl_s=2.0))
    fields: dict[str, object] = {
        "arms": [slow, quick],
        "load": HttpClients(count=30, rate_per_s=300),
        "strikes": [Strike(Crash(), target=some("backend", 4), every_s=1.25)],
        "objectives": [worst(dead_but_listed_s) <= bound(), difference(dead_but_listed_s, quick, slow) < 0],
    }
    return Scenario(**{**fields, **changed})  # type: ignore[arg-type]  # what a person may write wrongly is tested
