"""Failover by an operator: somebody notices, thinks for a while, and promotes a standby by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from lab.errors import BadInput
from lab.fields import check_number
from lab.protocols import Beat, Bounds, ClientRoute, Fields, Phase, Route, Stack, System
from lab.systems import controller as node

CHECK_INTERVAL_S = 0.25
CHECK_TIMEOUT_S = 0.5
"""Somebody's monitoring: its first bad probe is what the operator hears of."""


@dataclass(frozen=True, slots=True)
class Manual:
    """An operator acts `after_s` after the first failed probe, if all since then have failed: he promotes the standby
    that received most, and lets the others follow it."""

    after_s: float = 5.0
    _attach_s: float | None = field(init=False, repr=False, compare=False, default=None)
    name: ClassVar[str] = "manual"
    fails_over: ClassVar[bool] = True
    watched_from: ClassVar[str] = "controller"
    beat_name: ClassVar[str] = "probe"
    compose_files: ClassVar[tuple[str, ...]] = ("controller.yaml",)
    nodes: ClassVar[tuple[tuple[str, str], ...]] = node.Controller.nodes

    def __post_init__(self) -> None:
        check_number("Manual", "after_s", self.after_s, least=0)

    def check_beside(self, systems: Sequence[System], routes: Sequence[ClientRoute]) -> None:
        """Whether the arm has what it needs. Raises BadInput."""
        if any(system.name == "controller" for system in systems):
            raise BadInput("Manual and Controller would both promote standbys: one of them has to go")
        attach_s = node.check_failover("Manual", systems)
        object.__setattr__(self, "_attach_s", attach_s)

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LAB_PROBE_INTERVAL_S": f"{CHECK_INTERVAL_S:g}",
            "LAB_PROBE_TIMEOUT_S": f"{CHECK_TIMEOUT_S:g}",
            "LAB_OPERATOR_S": f"{self.after_s:g}",
        }

    @property
    def settings(self) -> Fields:
        return {"after_s": self.after_s}

    def route(self) -> Route | None:
        return None

    def bounds(self, change: str) -> Bounds | None:
        """The first bad probe (see Controller.bounds), and the operator's time."""
        if change == "switchover":
            return node.switchover_bounds(self._attach_s)
        refused = change in node.REFUSED
        if not refused and change not in node.SILENT | {"vanish"}:
            return None
        low_s = CHECK_TIMEOUT_S if change in node.SILENT else 0.0
        high_s = 0.0 if refused else CHECK_TIMEOUT_S
        detection = Phase(
            "detection",
            max(0.0, self.after_s + low_s - node.SLACK_S),
            self.after_s + high_s + CHECK_INTERVAL_S + node.PROBE_S,
            f"after_s ({self.after_s:g})",
            self.after_s + high_s + CHECK_INTERVAL_S / 2,
        )
        return Bounds((detection, *node.promotion_phases(self._attach_s)))

    @property
    def beat_s(self) -> float:
        return CHECK_INTERVAL_S

    def beat(self, stack: Stack) -> Beat | None:
        """The probes: the next one's start."""
        return node.probe_beat(stack)

    def lacking(self, stack: Stack) -> Sequence[str]:
        return node.lacking(stack)

    def leader(self, stack: Stack) -> str | None:
        """Postgres says who leads."""
        return None

    def reset(self, stack: Stack) -> None:
        """postgres1 is the primary, and watched again."""
        node.reset(stack)

    def recover(self, stack: Stack) -> None:
        """Members come back by the lab's own hand; until the next reset nobody is watched."""
        node.stand_down(stack)
