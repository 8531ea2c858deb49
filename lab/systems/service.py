"""The sample service: instances of a small HTTP service, each in its own pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.errors import BadInput
from lab.fields import check_number, check_whole
from lab.protocols import Beat, Bounds, Fields, Route, Stack
from lab.systems.asking import revive, serves

MOST = 64


@dataclass(frozen=True, slots=True)
class Service:
    """`instances` pods backend1..N, the last `spares` of which do not run when a trial begins: a Start brings them.

    On SIGTERM an instance leaves its registry, serves for `drain_s` more and exits; None: for as long as the arm's
    registry needs to tell every client. A drain shorter than the DNS registrar's interval may end before anybody asked.
    """

    instances: int = 8
    spares: int = 0
    drain_s: float | None = None
    name: ClassVar[str] = "service"
    compose_files: ClassVar[tuple[str, ...]] = ("service.yaml",)
    beat_s: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        check_whole("Service", "instances", self.instances, least=1)
        check_whole("Service", "spares", self.spares, least=0)
        if self.instances > MOST:
            raise BadInput(f"Service: instances={self.instances} is more than a lab holds; at most {MOST}")
        if self.spares >= self.instances:
            raise BadInput(
                f"Service: spares={self.spares} leaves none of instances={self.instances} running; "
                "instances counts the spares too"
            )
        if self.drain_s is not None:
            check_number("Service", "drain_s", self.drain_s, least=0)

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        return tuple((f"backend{number}", "backend") for number in range(1, self.instances + 1))

    @property
    def spare_nodes(self) -> tuple[str, ...]:
        """The nodes that do not run when a trial begins."""
        return tuple(node for node, _ in self.nodes[self.instances - self.spares :])

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LAB_INSTANCES": str(self.instances),
            "LAB_SPARES": str(self.spares),
            "LAB_DRAIN_S": "" if self.drain_s is None else f"{self.drain_s:g}",
        }

    @property
    def settings(self) -> Fields:
        return {"instances": self.instances, "spares": self.spares, "drain_s": self.drain_s}

    def route(self) -> Route | None:
        """None: the arm's registry tells where instances are."""
        return None

    def bounds(self, change: str) -> Bounds | None:
        """None: the arm's registry promises."""
        return None

    def beat(self, stack: Stack) -> Beat | None:
        """None: an instance has no clock."""
        return None

    def lacking(self, stack: Stack) -> Sequence[str]:
        spare = frozenset(self.spare_nodes)
        lacks: list[str] = []
        for node in stack.role("backend"):
            if node.name in spare:
                if node.server_running():
                    lacks.append(f"{node.name}: it is a spare, but runs")
            elif not serves(node):
                lacks.append(f"{node.name}: /health does not say 200 yet")
        return lacks

    def leader(self, stack: Stack) -> str | None:
        """None: instances are equals."""
        return None

    def reset(self, stack: Stack) -> None:
        """Every instance runs but the spares. These get SIGKILL: their goodbye would be a change of the trial's."""
        spare = frozenset(self.spare_nodes)
        for node in stack.role("backend"):
            if node.name not in spare:
                revive(node)
            elif node.server_running():
                node.tell("signal", signal="KILL", wait_s=2.0)
