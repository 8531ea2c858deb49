"""The shapes that the rooms share. Read this first.

scenario -> plan -> engine (cluster, systems, faults, load) -> history -> checkers -> statistics -> report

Rooms (cluster, systems, faults, checkers, report) never import each other; they meet in a scenario script, and the
engine knows them only by the shapes below. A shape is satisfied by having its members; nothing is inherited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Fields = dict[str, Any]
"""JSON: what goes through an agent, into an event or into a file."""

Evidence = dict[str, Any]
"""What a verification saw. `holds` (bool) says whether the fault is in effect; the rest is for people."""


@dataclass(frozen=True, slots=True)
class Injection:
    """What a fault really did; JSON all through, so that another process can heal with nothing else.

    The instant of the change is the interval [after_ns, before_ns] on the node's monotonic clock.
    """

    node: str
    after_ns: int
    before_ns: int
    details: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the way from a change to a client's right view, as configured. `high_s` is inclusive."""

    name: str
    low_s: float
    high_s: float
    moved_by: str = ""
    """The setting that moves this phase most, e.g. "ttl_s (5)"."""
    mean_s: float | None = None
    """What it comes to on average; None: the middle."""

    @property
    def expected_s(self) -> float:
        """What it comes to on average."""
        return (self.low_s + self.high_s) / 2 if self.mean_s is None else self.mean_s


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an arm's configuration promises for one kind of change: its phases, in order."""

    phases: tuple[Phase, ...]

    @property
    def low_s(self) -> float:
        """Seconds before which no client can be right."""
        return sum(phase.low_s for phase in self.phases)

    @property
    def high_s(self) -> float:
        """Seconds after which every client must be right, without the allowance for the lab's own lag."""
        return sum(phase.high_s for phase in self.phases)

    @property
    def mean_s(self) -> float:
        """Seconds after which a client is right on average."""
        return sum(phase.expected_s for phase in self.phases)


@dataclass(frozen=True, slots=True)
class Beat:
    """A periodic clock inside a system (a TTL, a heartbeat): it struck at `at_ns` and strikes every `period_s`."""

    name: str
    period_s: float
    at_ns: int
    seen: bool = True
    """False where nobody can see when it strikes: `at_ns` is only where counting begins."""


@dataclass(frozen=True, slots=True)
class Route:
    """The client's side: where to look and how to hold what was found. `kind` names a route in lab.inside.routes."""

    kind: str
    settings: Fields = field(default_factory=dict)


class Node(Protocol):
    """One pod: a host (network, address, agent) and the server that runs in it."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def offers(self) -> frozenset[str]:
        """What can be done to it: a subset of {"signal", "packets", "server", "host"}."""
        ...

    def tell(self, op: str, *, timeout_s: float = 5.0, **arguments: Any) -> Fields:
        """One command to the node's agent and its answer, `t_ns` stamped by the agent (ops: lab/inside/agent.py).

        Raises NodeLost when the agent refuses, is gone or does not answer in time.
        """
        ...

    def start_server(self) -> None:
        """Start the server container (again); returns when the engine says it runs."""
        ...

    def kill_host(self) -> None:
        """Kill the host container: the address itself goes away."""
        ...

    def start_host(self) -> None:
        """Start the host and then the server again, at the same address; the agent is attached again."""
        ...

    def server_running(self) -> bool:
        """Whether the engine says that the server container runs."""
        ...


class Stack(Protocol):
    """The running pods of one arm: the only thing a system or a fault can touch."""

    @property
    def arm(self) -> str: ...
    @property
    def nodes(self) -> Mapping[str, Node]:
        """Every node by name, by service and number."""
        ...

    def role(self, role: str) -> Sequence[Node]:
        """The nodes of a role, in order of their number."""
        ...


class Cluster(Protocol):
    """The door to containers: brings stacks up and down, collects what they wrote."""

    @property
    def versions(self) -> Fields:
        """Versions of engine, compose, images and servers, for the report."""
        ...

    def up(self, arm: str, compose_files: Sequence[str], environment: Mapping[str, str]) -> Stack:
        """Start every pod of an arm; returns when all agents answer."""
        ...

    def down(self, stack: Stack) -> None:
        """Remove everything of a stack."""
        ...

    def collect(self, stack: Stack, folder: Path) -> None:
        """Put what every writer wrote since the last collect into `folder`, a file a writer, header repeated."""
        ...

    def logs(self, stack: Stack, folder: Path) -> None:
        """Put each server's log into `folder`/logs as NODE.log, and the podified compose file as compose.json."""
        ...

    def now_ns(self) -> int:
        """The time on the nodes' clock."""
        ...

    def keep(self, stack: Stack) -> None:
        """Let a stack outlive the lab, for `lab shell` and `lab logs`."""
        ...


class Site(Protocol):
    """What a fault is given: the resolved target, and every node of the stack."""

    @property
    def target(self) -> Node: ...
    @property
    def others(self) -> Sequence[Node]:
        """The nodes that no strike of this trial touches."""
        ...

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Every node of the stack by name."""
        ...


class Fault(Protocol):
    """One exact way to break a node: settings and three verbs, no state.

    What only some have is asked for by name: `holds_until_healed` (True: its target lives, but is not as it was)
    and `fits(targets, nodes)`: raises BadInput, while planning, for what cannot be struck so. Both are (name, role)
    pairs; the name of a target that is known only when it is struck is "leader(ROLE)".
    """

    @property
    def name(self) -> str:
        """The word in plans, events and reports: "crash"."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """What the target must offer."""
        ...

    @property
    def leaves(self) -> str:
        """What becomes of the target while the fault holds: "dead" or "alive" (it serves, perhaps anew)."""
        ...

    def inject(self, site: Site) -> Injection: ...
    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        """Look whether the fault is in effect; `injection` is None before it was injected."""
        ...

    def heal(self, site: Site, injection: Injection) -> Fields | None:
        """Undo it; idempotent, and right even from another process.

        {after_ns, before_ns} where the node itself says when it was undone; else it was while this was called.
        """
        ...


class System(Protocol):
    """A system under test: its compose file, its settings, and what they promise.

    What only some have is asked for by name: `spare_nodes`, `beat_name`; `leads` (the role whose leader it names),
    `fails_over` (True where its bounds are what becomes of a database), `watched_from` (the role from which it sees
    whether the leader lives), `unbounded(change)` (why there is no bound, for people), `check_beside(systems, routes)`
    (raises BadInput for what does not fit into one arm) and `recover(stack)` (brings members that fell behind back
    behind the leader, at the end of a trial).
    """

    @property
    def name(self) -> str: ...
    @property
    def compose_files(self) -> tuple[str, ...]:
        """Files below compose/ (or absolute paths)."""
        ...

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        """(node, role) of every pod it brings, known without Docker."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Values for the variables of its compose file: its settings."""
        ...

    @property
    def settings(self) -> Fields:
        """Its settings for the report and the plan, units in the names."""
        ...

    def route(self) -> Route | None:
        """How clients of this system discover; None where they do not."""
        ...

    def bounds(self, change: str) -> Bounds | None:
        """What the settings promise for a change: a fault's name, or "return" for an instance that serves again."""
        ...

    def beat(self, stack: Stack) -> Beat | None:
        """The clock that a strike races against; None where there is none."""
        ...

    @property
    def beat_s(self) -> float:
        """That clock's period, known without Docker; 0 where there is none."""
        ...

    def lacking(self, stack: Stack) -> Sequence[str]:
        """What is not ready yet, a sentence each; empty when ready. Called again and again: it must not block long."""
        ...

    def leader(self, stack: Stack) -> str | None:
        """The node that leads, where one does."""
        ...

    def reset(self, stack: Stack) -> None:
        """Bring it back to how a trial begins."""
        ...


class ClientRoute(Protocol):
    """How clients of a database find the primary, and how they behave while they do: lab.routes.

    What only some have is asked for by name: `unbounded(change)`, why there is no bound, for people.
    """

    @property
    def label(self) -> str:
        """Its name in reports, unique within an arm: "multi_host", "haproxy", "reconnecting"."""
        ...

    @property
    def kind(self) -> str:
        """What the writers' pod makes of it (lab.inside.paths): multi_host, dns, zookeeper, haproxy."""
        ...

    @property
    def settings(self) -> Fields:
        """As the writers' `begin` command takes them, units in the names."""
        ...

    def check_beside(self, systems: Sequence[System]) -> None:
        """Raises BadInput where the arm lacks what this route goes through."""
        ...

    def phases(self, change: str, systems: Sequence[System]) -> tuple[Phase, ...] | None:
        """What comes after the new primary is writable: publication, propagation, client; None: nothing is promised."""
        ...


class Load(Protocol):
    """What drives the clients of a trial, from inside a pod.

    `kind` (class attribute) says what is watched: "views" (of instances), or "writes" (to a database).
    """

    @property
    def count(self) -> int:
        """How many clients there are, each with its own view."""
        ...

    @property
    def rate_per_s(self) -> float:
        """Intended requests a second, of all clients together."""
        ...

    @property
    def deadline_s(self) -> float:
        """How long a request may take from its intended start."""
        ...

    @property
    def compose_files(self) -> tuple[str, ...]: ...
    @property
    def nodes(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def environment(self) -> Mapping[str, str]: ...
    @property
    def settings(self) -> Fields: ...


Progress = Callable[[Fields], None]
"""The engine's one callback. Every report has `what`: "building", "waiting", "up", "phase", "trial", "note"."""
