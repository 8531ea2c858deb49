"""The database under test: one PostgreSQL primary and its standbys, and the link between them where one is slow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from lab.errors import BadInput, LabError, NodeLost
from lab.fields import check_number, check_whole, check_word
from lab.protocols import Beat, Bounds, ClientRoute, Fields, Node, Route, Stack, System
from lab.systems.asking import UNREACHED, ask, ask_server
from lab.wait import TimedOut, wait_until

FIRST = "postgres1"
LINK = "toxiproxy"
LINK_NAME, LINK_LISTEN = "replication", "0.0.0.0:15431"
PORT = 5432
MANAGEMENT_PORT = 5999
MOST_STANDBYS = 3
MOST_LAG_MS = 60_000
MOST_CONNECTIONS = 1000
COMMAND_S = 20.0
REJOIN_S = 60.0
BY_ITSELF_S = 3.0
"""How long a server that was started just now is given to follow the leader before it is told to."""
LAG_TOLERANCE_MS = 0.5

FOR_INSTANCES = frozenset({"service", "dns", "scripted"})
"""Systems that are of no use to a database."""

LEADS = frozenset({"primary", "read_only"})
"""States of a server that is out of recovery."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A primary and `standbys` (1 to 3).

    `replication` "sync": a commit waits for `sync_standbys` of them, "any" or the "first" in order of number, until
    they have done what `commit` says ("on": flushed, "remote_write", "remote_apply"). `lag_ms`: what replication from
    postgres1 is late by, through a proxy; 0 is the proxy alone, None is no proxy. `max_connections` of every server.
    """

    standbys: int = 2
    replication: str = "async"
    sync_standbys: int = 1
    sync_method: str = "any"
    commit: str = "on"
    lag_ms: float | None = None
    max_connections: int = 100
    name: ClassVar[str] = "postgres"
    leads: ClassVar[str] = "postgres"
    beat_s: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        check_whole("Postgres", "standbys", self.standbys, least=1, most=MOST_STANDBYS)
        check_word("Postgres", "replication", self.replication, ("async", "sync"))
        check_word("Postgres", "sync_method", self.sync_method, ("any", "first"))
        check_word("Postgres", "commit", self.commit, ("on", "remote_write", "remote_apply"))
        check_whole("Postgres", "sync_standbys", self.sync_standbys, least=1)
        for name, default in (("sync_standbys", 1), ("sync_method", "any"), ("commit", "on")):
            if self.replication == "async" and (value := getattr(self, name)) != default:
                raise BadInput(
                    f"Postgres: {name}={value!r} means nothing with replication='async'; write replication='sync', or "
                    f"leave it out (--set ARM.{name}=... is for one arm only)"
                )
        if self.replication == "sync" and self.sync_standbys > self.standbys:
            raise BadInput(
                f"Postgres: sync_standbys={self.sync_standbys} of standbys={self.standbys}: no write would ever be "
                "acknowledged; lower sync_standbys or raise standbys"
            )
        if self.lag_ms is not None:
            check_number("Postgres", "lag_ms", self.lag_ms, least=0, most=MOST_LAG_MS)
            if self.lag_ms != round(self.lag_ms):
                raise BadInput(f"Postgres: lag_ms={self.lag_ms:g} must be whole milliseconds: Toxiproxy knows no other")
        check_whole("Postgres", "max_connections", self.max_connections, least=20, most=MOST_CONNECTIONS)

    @property
    def compose_files(self) -> tuple[str, ...]:
        return ("postgres.yaml",) if self.lag_ms is None else ("postgres.yaml", "link.yaml")

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers' nodes, in order of their number."""
        return tuple(f"postgres{number}" for number in range(1, self.standbys + 2))

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        servers = tuple((node, "postgres") for node in self.servers)
        return servers if self.lag_ms is None else (*servers, (LINK, "link"))

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LAB_POSTGRES": str(self.standbys + 1),
            "LAB_REPLICATION": self.replication,
            "LAB_SYNC_STANDBYS": str(self.sync_standbys),
            "LAB_SYNC_METHOD": self.sync_method,
            "LAB_COMMIT": self.commit,
            "LAB_MAX_CONNECTIONS": str(self.max_connections),
            "LAB_LAG_MS": "" if self.lag_ms is None else f"{self.lag_ms:g}",
        }

    @property
    def settings(self) -> Fields:
        told: Fields = {"standbys": self.standbys, "replication": self.replication}
        if self.replication == "sync":
            told |= {"sync_standbys": self.sync_standbys, "sync_method": self.sync_method, "commit": self.commit}
        if self.lag_ms is not None:
            told["lag_ms"] = self.lag_ms
        return told | {"max_connections": self.max_connections}

    def check_beside(self, systems: Sequence[System], routes: Sequence[ClientRoute]) -> None:
        """Raises BadInput where the link would be passed by, or others have no use for a database."""
        for system in systems:
            if system.name in FOR_INSTANCES:
                raise BadInput(
                    f"{type(system).__name__} is about instances of a service, not about a database; leave it out "
                    "(PrimaryRegistrar publishes a primary by DNS)"
                )
        if self.lag_ms is not None and any(system.name == "patroni" for system in systems):
            raise BadInput(
                f"Postgres: lag_ms={self.lag_ms:g} has no effect beside Patroni, whose standbys connect to the leader "
                "straight; leave lag_ms out or use Controller()"
            )
        lag_s = (self.lag_ms or 0.0) / 1000 if self.replication == "sync" else 0.0
        for route in routes:
            if lag_s and (deadline_s := float(route.settings["deadline_s"])) <= lag_s:
                raise BadInput(
                    f"Postgres: lag_ms={self.lag_ms:g} delays every commit in sync, and {route.label} gives a write "
                    f"deadline_s={deadline_s:g}: none would be acknowledged in time; raise deadline_s or lower lag_ms"
                )

    def route(self) -> Route | None:
        return None

    def bounds(self, change: str) -> Bounds | None:
        """How long nobody can write is what its failover system promises, not the database."""
        return None

    def beat(self, stack: Stack) -> Beat | None:
        return None

    # -- the running stack ---------------------------------------------------------------------------------------

    def lacking(self, stack: Stack) -> Sequence[str]:
        told = dict(_at_once(lambda node: (node, status(stack.nodes[node])), self.servers))
        lacks = [f"{node}: its supervisor does not answer" for node, said in told.items() if not said]
        first = told[FIRST]
        if first and first["state"] != "primary":
            lacks.append(f"{FIRST}: it is {first['state']}, not yet the primary")
        for node in self.servers[1:]:
            said = told[node]
            if said and (said["state"], said["receiving"], said["upstream"]) != ("standby", True, FIRST):
                lacks.append(f"{node}: it does not stream from {FIRST} yet ({said['state']})")
            elif first and said and node not in first["streaming"]:
                lacks.append(f"{FIRST}: it does not stream to {node} yet")
        if self.replication == "sync" and first and len(first["sync"]) < self.sync_standbys:
            lacks.append(f"{FIRST}: {len(first['sync'])} of {self.sync_standbys} synchronous standbys are attached")
        return [*lacks, *self._link_lacks(stack)]

    def leader(self, stack: Stack) -> str | None:
        """The primary; of two the one on the higher timeline."""
        leads: dict[str, int] = {}
        for node, said in _at_once(lambda node: (node, status(stack.nodes[node])), self.servers):
            if said and said["state"] in LEADS:
                leads[node] = said["timeline"] or 0
        return max(leads, key=lambda node: leads[node], default=None)

    def reset(self, stack: Stack) -> None:
        """postgres1 is the primary of a fresh cluster, all others start behind it; nothing is fenced or cut."""
        _at_once(lambda node: _clear(stack.nodes[node]), [node for node, _ in self.nodes])
        _at_once(lambda node: _command(stack.nodes[node], "wipe"), self.servers)
        if "watcher" in stack.nodes:
            _command(stack.nodes["watcher"], "forget")
        if self.lag_ms is not None:
            self._set_link(stack)
        _at_once(lambda node: _command(stack.nodes[node], "start"), self.servers)

    def recover(self, stack: Stack) -> None:
        """Every server runs; whoever is not behind the leader is brought there (Patroni does that by itself)."""
        _at_once(lambda node: _clear(stack.nodes[node]), [node for node, _ in self.nodes])
        if "watcher" in stack.nodes:
            return
        leader = self.leader(stack)
        if leader is None:  # nobody has taken over: the one that died goes on
            _at_once(lambda node: _command(stack.nodes[node], "resume"), self.servers)
            return

        def follows(node: str) -> bool:
            said = status(stack.nodes[node])
            return bool(said and said["state"] == "standby" and said["upstream"] == leader and said["receiving"])

        def rejoin(node: str) -> None:
            # One that was started just now may be on its way by itself.
            with suppress(TimedOut):
                wait_until(lambda: follows(node) or _decided(status(stack.nodes[node]), leader), timeout_s=BY_ITSELF_S)
            if not follows(node):
                _command(stack.nodes[node], "rejoin", timeout_s=REJOIN_S, upstream=leader)

        _at_once(rejoin, [node for node in self.servers if node != leader])

    # -- the link ------------------------------------------------------------------------------------------------

    def _set_link(self, stack: Stack) -> None:
        upstream = f"{stack.nodes[FIRST].address}:{PORT}"
        stack.nodes[LINK].tell(
            "toxic", name=LINK_NAME, listen=LINK_LISTEN, upstream=upstream, latency_ms=self.lag_ms or 0
        )

    def _link_lacks(self, stack: Stack) -> list[str]:
        if self.lag_ms is None:
            return []
        try:
            proxies = stack.nodes[LINK].tell("toxics")["proxies"]
        except NodeLost as error:
            return [f"{LINK}: {error}"]
        lags_ms = [proxy["latency_ms"] for proxy in proxies if proxy["name"] == LINK_NAME]
        if len(lags_ms) == 1 and abs(lags_ms[0] - self.lag_ms) <= LAG_TOLERANCE_MS:
            return []
        return [f"{LINK}: it should add {self.lag_ms:g} ms, and says {lags_ms or 'nothing of it'}"]


def status(node: Node) -> Fields:
    """What the supervisor of a server says of it; empty when it does not answer."""
    return ask_server(node, "status")


def _decided(said: Fields, leader: str) -> bool:
    """Whether a server will not follow the leader before somebody tells it to."""
    if not said or said["busy"]:
        return False
    return not said["running"] or said["state"] in LEADS or (said["state"] == "standby" and said["upstream"] != leader)


def _clear(node: Node) -> None:
    """A node as nobody has touched it: reachable, going on, running, its management port open."""
    try:
        for op in ("undrop", "uncut"):
            node.tell(op)
        node.tell("signal", signal="CONT", wait_s=1.0)
    except NodeLost:
        node.start_host()
    else:
        node.start_server()  # it was killed a moment ago, perhaps, and the engine has not noticed
    if node.role == "postgres":
        node.tell("manage", port=MANAGEMENT_PORT)
        wait_until(lambda: status(node), timeout_s=COMMAND_S, message=f"{node.name}: its supervisor does not answer")


def _command(node: Node, do: str, timeout_s: float = COMMAND_S, **arguments: Any) -> Fields:
    """A command to the server in a node, which may have been started a moment ago. Raises LabError where it fails."""
    answer = UNREACHED

    def heard() -> bool:
        nonlocal answer
        answer = ask(node, "control", timeout_s=timeout_s, message={"do": do, **arguments})
        return answer.get("why") != "refused"  # that is: nobody listens yet

    with suppress(TimedOut):
        wait_until(heard, timeout_s=COMMAND_S, every_s=0.05)
    said: Fields = answer["answer"] if answer["reached"] else {"error": "it does not answer"}
    if not said.get("ok"):
        raise LabError(f"{node.name}: {do}: {said.get('error') or 'it says no'}")
    return said


def _at_once(act: Callable[[str], Any], nodes: Iterable[str]) -> list[Any]:
    """Do something with all nodes at the same time; raises the first error."""
    names = list(nodes)
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(act, names))
