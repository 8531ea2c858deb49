"""What every part of a trial works with: plan, stack, log, clock, and the verbs that wait and ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lab.clock import S
from lab.errors import NodeLost
from lab.history import SharedRecorder
from lab.plan import Plan, PlannedStrike, Trial
from lab.protocols import Cluster, Fields, Injection, Progress, Stack
from lab.scenario import Arm
from lab.selectors import leading_role

RIGHT_FOR_S = 1.0
"""Every client must have been right for this long before a hold or a settle ends."""


class Stopped(Exception):
    """A person asked to stop; the trial heals, collects and ends."""


class Watch(Protocol):
    """What clients are there for in a trial, and when they are right: lab.watch_views, lab.watch_writes."""

    @property
    def plan_fields(self) -> Fields:
        """What the plan event says of it: about what, clients, routes, bounds, ..."""
        ...

    def ready(self) -> None:
        """The stack is ready: measure what can be measured before the load begins."""
        ...

    def begin(self) -> None:
        """Let the load begin."""
        ...

    def baseline(self) -> None:
        """Wait until it has run long enough and everybody is right."""
        ...

    def about_to_strike(self) -> None:
        """Remember what the strikes are going to change."""
        ...

    def hold(self) -> None:
        """Every strike is done: wait until everybody is right again, or for the limit."""
        ...

    def before_heal(self) -> None:
        """Read what healing may destroy."""
        ...

    def settle(self) -> bool:
        """Everything is healed: wait until everybody is right; False when the limit came first."""
        ...

    def end(self) -> None:
        """End the load, and read what only then can be read."""
        ...


@dataclass(slots=True)
class Stage:
    """One trial on its stack."""

    plan: Plan
    trial: Trial
    arm: Arm
    stack: Stack
    cluster: Cluster
    folder: Path
    progress: Progress
    stop: threading.Event
    log: SharedRecorder = field(init=False)
    targets: dict[int, str] = field(default_factory=dict)
    """Strike -> the node that it hits, as soon as that is known."""
    injected: list[tuple[PlannedStrike, Injection]] = field(default_factory=list)
    effective: set[PlannedStrike] = field(default_factory=set)
    """Strikes that took effect and hold: what clients should come to see."""

    def __post_init__(self) -> None:
        self.log = SharedRecorder(self.folder, "lab")
        self.targets |= {p.strike: p.target for p in self.trial.strikes if not leading_role(p.target)}

    @property
    def struck(self) -> frozenset[str]:
        """Every node that a strike of this trial hits, as far as that is known."""
        also = {node for _, injection in self.injected for node in injection.details.get("also", ())}
        return frozenset(self.targets.values()) | also

    def target(self, planned: PlannedStrike) -> str:
        """Whom a strike hits; a leader is asked for when it is struck, not before. Raises NodeLost for none."""
        if planned.strike not in self.targets:
            leader = self.leader(leading_role(planned.target))
            if leader is None:
                raise NodeLost(f"nobody leads, so {planned.fault.name} of the leader has no target")
            self.targets[planned.strike] = leader
        return self.targets[planned.strike]

    def leader(self, role: str) -> str | None:
        """The node of a role that leads, where one does; other systems of the arm have leaders of their own."""
        of_role = {node.name for node in self.stack.role(role)}
        return next((found for s in self.arm.systems if (found := s.leader(self.stack)) in of_role), None)

    # -- waiting -------------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """The time on the nodes' clock."""
        return self.cluster.now_ns()

    def pause_s(self, seconds: float) -> None:
        """Wait; a stop ends it early."""
        self.until_at(self.now_ns() + int(seconds * S))

    def until_at(self, t_ns: int) -> None:
        """Wait for an instant on the nodes' clock, to a fraction of a millisecond; a stop ends it early."""
        while (left_ns := t_ns - self.now_ns()) > 0:
            if self.stop.wait(min(left_ns / S, 0.5)):
                raise Stopped

    def check_stop(self) -> None:
        """Raises Stopped when a person asked for it."""
        if self.stop.is_set():
            raise Stopped

    # -- asking and telling --------------------------------------------------------------------------------------

    def load(self, message: Fields, timeout_s: float = 5.0) -> Fields:
        """A command to the load generator and its answer. Raises NodeLost when it refuses or does not answer."""
        node = self.stack.role("clients")[0]
        answer = node.tell("ask", probe="control", message=message, timeout_s=timeout_s)
        if not answer.get("reached"):
            raise NodeLost(f"{node.name}: the load generator did not answer {message['do']!r}: {answer.get('why', '')}")
        told: Fields = answer["answer"]
        if not told.get("ok", False):
            raise NodeLost(f"{node.name}: the load generator refused {message['do']!r}: {told.get('error', told)}")
        return told

    @contextmanager
    def phase(self, name: str, limit_s: float) -> Iterator[None]:
        """A phase of the trial begins."""
        self.log.record("phase", self.now_ns(), name=name, limit_s=round(limit_s, 3))
        self.tell_phase(name, limit_s, "")
        yield

    def tell_phase(self, name: str, left_s: float, detail: str) -> None:
        """Progress within a phase, for people."""
        about: dict[str, Any] = {"trial": self.trial.number, "arm": self.arm.name, "repeat": self.trial.repeat}
        self.progress({"what": "phase", "name": name, "left_s": left_s, "limit_s": left_s, "detail": detail, **about})
