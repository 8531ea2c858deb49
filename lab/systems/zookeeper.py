"""Discovery by ZooKeeper: an ensemble with which instances register themselves, and an observer of every server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.errors import BadInput, NodeLost
from lab.fields import check_number, check_whole
from lab.protocols import Beat, Bounds, Fields, Node, Phase, Route, Stack
from lab.systems.asking import SERVICE, ask, ask_server, differences, revive, serving

SIZES = (1, 3, 5)
LEAST_TICKS, MOST_TICKS = 2, 20
PROPAGATION_S = 0.05
"""From a server's new list to its watchers': 5 to 15 ms measured."""
GOODBYE_S = 0.05
"""A deletion by the instance itself until it is acknowledged: 3 to 15 ms measured."""
HELLO_S = 1.0
"""From an instance's first request to its registration: it loads its ZooKeeper client, connects and creates a node."""
ALLOWANCE_S = 0.1
"""What a drain lasts beyond the bound: the least allowance that reports give a bound."""

REMOVALS = frozenset({"crash", "power_loss", "pause", "vanish"})
GOODBYES = frozenset({"graceful_stop", "restart"})


@dataclass(frozen=True, slots=True)
class ZooKeeper:
    """`servers` ZooKeepers with a tickTime of `tick_s`; instances hold sessions of `session_timeout_s`.

    A silent server counts as alive for `sync_limit_ticks`, and may take `init_limit_ticks` to join. `fsync`: a write is
    acknowledged only when it is on the disk. All servers share the engine's one disk; false keeps its noise out.
    """

    servers: int = 3
    session_timeout_s: float = 4.0
    tick_s: float = 0.5
    sync_limit_ticks: int = 8
    init_limit_ticks: int = 20
    fsync: bool = True
    name: ClassVar[str] = "zookeeper"
    leads: ClassVar[str] = "zookeeper"
    beat_name: ClassVar[str] = "heartbeat"
    compose_files: ClassVar[tuple[str, ...]] = ("zookeeper.yaml",)

    def __post_init__(self) -> None:
        if type(self.servers) is not int or self.servers not in SIZES:
            raise BadInput(f"ZooKeeper: servers={self.servers!r} must be 1, 3 or 5; an even one outvotes nobody")
        check_number("ZooKeeper", "tick_s", self.tick_s, least=0.05)
        check_number("ZooKeeper", "session_timeout_s", self.session_timeout_s, above=0)
        check_whole("ZooKeeper", "sync_limit_ticks", self.sync_limit_ticks, least=1)
        check_whole("ZooKeeper", "init_limit_ticks", self.init_limit_ticks, least=1)
        if type(self.fsync) is not bool:
            raise BadInput(f"ZooKeeper: fsync={self.fsync!r} must be true or false")
        least_s, most_s = LEAST_TICKS * self.tick_s, MOST_TICKS * self.tick_s
        if not least_s <= self.session_timeout_s <= most_s:
            mend = "raise session_timeout_s or lower tick_s"
            if self.session_timeout_s > most_s:
                mend = "lower session_timeout_s or raise tick_s"
            raise BadInput(
                f"ZooKeeper: session_timeout_s={self.session_timeout_s:g} is outside {LEAST_TICKS}..{MOST_TICKS} ticks "
                f"(tick_s={self.tick_s:g} grants {least_s:g} to {most_s:g} s); {mend}"
            )

    @property
    def server_nodes(self) -> tuple[str, ...]:
        """The ensemble's nodes."""
        return tuple(f"zookeeper{number}" for number in range(1, self.servers + 1))

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        return (*((node, "zookeeper") for node in self.server_nodes), ("observer", "observer"))

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LAB_REGISTRY": "zookeeper",
            "LAB_DEFAULT_DRAIN_S": f"{self._goodbye.high_s + ALLOWANCE_S:g}",
            "LAB_ZOOKEEPERS": str(self.servers),
            "LAB_TICK_MS": str(round(self.tick_s * 1000)),
            "LAB_SESSION_TIMEOUT_S": f"{self.session_timeout_s:g}",
            "LAB_SYNC_LIMIT_TICKS": str(self.sync_limit_ticks),
            "LAB_INIT_LIMIT_TICKS": str(self.init_limit_ticks),
            "LAB_FSYNC": "yes" if self.fsync else "no",
        }

    @property
    def settings(self) -> Fields:
        return {
            "servers": self.servers,
            "session_timeout_s": self.session_timeout_s,
            "tick_s": self.tick_s,
            "sync_limit_ticks": self.sync_limit_ticks,
            "init_limit_ticks": self.init_limit_ticks,
            "fsync": self.fsync,
        }

    def route(self) -> Route:
        """Each client has its own session, with the instances' timeout, and a watch."""
        hosts = ",".join(f"{node}:2181" for node in self.server_nodes)
        settings = {"hosts": hosts, "path": f"/services/{SERVICE}", "session_timeout_s": self.session_timeout_s}
        return Route("zookeeper", settings)

    # -- what the settings promise -------------------------------------------------------------------------------

    def bounds(self, change: str) -> Bounds | None:
        """Removal: the session ends S after its last heartbeat, which is up to S/3 old, rounded up to a whole tick; a
        session at a follower is kept by the leader's ping, every half tick. So detection may come before S has passed.

        A goodbye is a deletion, a return or a start a new registration: milliseconds, and a client's import.
        """
        session_s = self.session_timeout_s
        if change in REMOVALS:
            return self._phases(session_s - session_s / 3, session_s + 1.5 * self.tick_s)
        if change in GOODBYES:
            return self._goodbye
        if change in ("return", "start"):
            return self._phases(0.0, HELLO_S, moved=False)
        return None

    @property
    def _goodbye(self) -> Bounds:
        return self._phases(0.0, GOODBYE_S, moved=False)

    def _phases(self, low_s: float, high_s: float, *, moved: bool = True) -> Bounds:
        moved_by = f"session_timeout_s ({self.session_timeout_s:g})" if moved else ""
        return Bounds((Phase("detection", low_s, high_s, moved_by), Phase("propagation", 0.0, PROPAGATION_S)))

    # -- the running stack ---------------------------------------------------------------------------------------

    @property
    def beat_s(self) -> float:
        return self.session_timeout_s / 3

    def beat(self, stack: Stack) -> Beat | None:
        """Heartbeats of the sessions. Each instance has its own, jittered by its client, and nobody outside sees them:
        the instant given is now, so strikes are spread over a heartbeat, but which part of it each meets stays unknown.
        """
        try:
            return Beat("heartbeat", self.beat_s, stack.nodes["observer"].tell("ping")["t_ns"], seen=False)
        except NodeLost:
            return None

    def lacking(self, stack: Stack) -> Sequence[str]:
        silent = [node.name for node in stack.role("zookeeper") if not _mode(node)]
        if silent:
            return [f"{name}: it is in no quorum yet" for name in silent]
        status = ask_server(stack.nodes["observer"], "status")
        if not status:
            return ["observer: it does not answer yet"]
        instances = serving(stack)
        lacks = [f"observer: its session with {server} is not up" for server in _unconnected(status)]
        for server, shown in status["servers"].items():
            lacks += differences(server, shown["nodes"], instances)
        return lacks

    def leader(self, stack: Stack) -> str | None:
        """The server that calls itself leader; None while there is none."""
        return next((node.name for node in stack.role("zookeeper") if _mode(node) in ("leader", "standalone")), None)

    def reset(self, stack: Stack) -> None:
        """Everything runs."""
        for node, _ in self.nodes:
            revive(stack.nodes[node])


def _mode(node: Node) -> str:
    """leader, follower or standalone; empty while a server is in no quorum."""
    text = str(ask(node, "zk", host="127.0.0.1", port=2181, word="srvr").get("text", ""))
    found = [line for line in text.splitlines() if line.startswith("Mode:")]
    return found[0].removeprefix("Mode:").strip() if found else ""


def _unconnected(status: Fields) -> list[str]:
    return [server for server, shown in status["servers"].items() if not shown["connected"]]
