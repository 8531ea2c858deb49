"""One pod that runs: what the lab can do to it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lab.cluster.attach import Agents
from lab.cluster.door import Door
from lab.errors import LabError, NodeLost
from lab.protocols import Fields
from lab.wait import TimedOut, wait_until

ANSWER_S = 20.0
"""How long a host may take from its start to the first answer of its agent, on a busy machine."""
ENGINE_LAG_S = 5.0
"""How long the engine may take to notice that a container ended (measured: 25 to 190 ms)."""
OVERHEAD_S = 2.0
"""How much longer than the probe itself its answer may take."""


@dataclass(frozen=True, slots=True)
class PodNode:
    """Satisfies lab.protocols.Node."""

    name: str
    role: str
    address: str
    host_id: str
    server_id: str
    door: Door
    agents: Agents

    @property
    def offers(self) -> frozenset[str]:
        """A pod can take every kind of blow."""
        return frozenset({"signal", "packets", "server", "host"})

    def tell(self, op: str, *, timeout_s: float | None = None, **arguments: Any) -> Fields:
        """One command to the node's agent and its answer (default limit 5 s).

        With `ask`, `timeout_s` bounds the probe itself (default 0.3 s), and a peer that does not answer in time is an
        answer. Raises NodeLost when the agent refuses, is gone or does not answer in time.
        """
        limit_s = 5.0 if timeout_s is None else timeout_s
        if op == "ask" and timeout_s is not None:
            arguments["timeout_s"] = timeout_s
            limit_s = timeout_s + OVERHEAD_S
        return self.agents.ask(self.name, op, arguments, limit_s)

    def start_host_and_agent(self) -> None:
        """Start the host container and attach to its agent; the server is not touched."""
        api = self.door.api
        # Attached before the start, so that nothing the agent says is lost.
        attached = self.door.call(
            api.attach_socket, self.host_id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        )
        self.agents.add(self.name, attached)
        self.door.call(api.start, self.host_id)

    def start_server(self) -> None:
        """Start the server container (again); returns when the engine says it runs. Nothing happens when it runs."""
        if self.server_running():
            if self.tell("processes")["processes"]:
                return
            # Its processes were killed a moment ago: the engine refuses to start it until it has noticed.
            with suppress(TimedOut):
                wait_until(lambda: not self.server_running(), timeout_s=ENGINE_LAG_S)
        self.door.call(self.door.api.start, self.server_id)

    def kill_host(self) -> None:
        """Kill the host container: the address itself goes away, and the server with it."""
        with suppress(NodeLost):
            self.door.call(self.door.api.kill, self.host_id)

    def start_host(self) -> None:
        """Start the host and then the server again, at the same address; the agent is attached again."""
        if not self._running(self.host_id):
            with suppress(TimedOut):
                wait_until(lambda: not self.server_running(), timeout_s=ENGINE_LAG_S)
            self.start_host_and_agent()
        self.await_agent()
        self.start_server()

    def await_agent(self) -> Fields:
        """Wait for the agent's first answer: {boot_id, t_ns}."""
        return self.tell("ping", timeout_s=ANSWER_S)

    def server_running(self) -> bool:
        """Whether the engine says that the server container runs; it may say so a moment longer than it is true."""
        return self._running(self.server_id)

    def _running(self, container: str) -> bool:
        try:
            state = self.door.call(self.door.api.inspect_container, container)["State"]
        except NodeLost as error:
            raise LabError(f"{self.name}: somebody removed its container: {error}") from error
        return bool(state["Running"])
