"""Asking agents over sockets: answers find their questions, and an end is told at once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from lab.cluster.attach import Agents
from lab.errors import EngineLost, NodeLost


def frame(line: bytes) -> bytes:
    return bytes([1, 0, 0, 0]) + len(line).to_bytes(4) + line


class FakeAgent:
    """The other end of an attached socket; answers `echo`, and everything else only when told."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ops: list[str] = []
        self.leased = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with self.theirs, self.theirs.makefile("rb") as lines:
            for line in lines:
                request: dict[str, Any] = orjson.loads(line)
                self.ops.append(request["op"])
                if request["op"] == "lease":
                    self.leased.set()
                if request["op"] == "echo":
                    answer = orjson.dumps({"id": request["id"], "ok": True, "word": request["word"]})
                    self.theirs.sendall(frame(answer + b"\n"))
                if request["op"] == "die":
                    return


@pytest.fixture
def looks() -> list[str]:
    """Grows each time the engine is looked for."""
    return []


@pytest.fixture
def agents(looks: list[str]) -> Iterator[Agents]:
    lines = Agents(lambda: looks.append("look"))
    yield lines
    lines.close()


def test_answers_find_their_questions(agents: Agents) -> None:
    """Many threads ask two nodes at once; each gets its own answer."""
    for node in ("a", "b"):
        agents.add(node, FakeAgent().ours)

    def ask(number: int) -> bool:
        answer = agents.ask("ab"[number % 2], "echo", {"word": number}, 5.0)
        return bool(answer["word"] == number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


def test_leases_are_renewed_from_the_start(agents: Agents) -> None:
    """Without anybody asking for it."""
    agent = FakeAgent()
    agents.add("a", agent.ours)
    assert agent.leased.wait(5)


def test_silence_and_death_are_told_apart(agents: Agents, looks: list[str]) -> None:
    """A time-out, an end in the middle of an operation, and a node that was gone before; each looks for the engine."""
    agents.add("a", FakeAgent().ours)
    with pytest.raises(NodeLost, match=r"a: its agent did not answer 'sleep' within 0\.05 s"):
        agents.ask("a", "sleep", {}, 0.05)
    with pytest.raises(NodeLost, match="a: its agent went away during 'die'"):
        agents.ask("a", "die", {}, 5.0)
    with pytest.raises(NodeLost, match="a: its host is gone"):
        agents.ask("a", "echo", {"word": 1}, 5.0)
    assert len(looks) == 3


def test_a_node_can_come_back(agents: Agents) -> None:
    """The end of the old line does not answer questions on the new one."""
    old, new = FakeAgent(), FakeAgent()
    agents.add("a", old.ours)
    agents.add("a", new.ours)
    old.theirs.shutdown(socket.SHUT_RDWR)
    assert agents.ask("a", "echo", {"word": 1}, 5.0)["word"] == 1
    assert agents.ask("a", "echo", {"word": 2}, 5.0)["word"] == 2


def test_a_lost_engine_is_said_instead_of_a_lost_node() -> None:
    """All agents are silent at once when the engine is gone."""

    def look() -> None:
        raise EngineLost("gone")

    agents = Agents(look)
    agents.add("a", FakeAgent().ours)
    with pytest.raises(EngineLost):
        agents.ask("a", "die", {}, 5.0)
    agents.close()


def test_kept_nodes_are_leased_for_ever(agents: Agents) -> None:
    """The last lease that an agent hears is the endless one."""
    ours, theirs = socket.socketpair()
    agents.add("a", ours)
    agents.keep()
    agents.close()
    with theirs, theirs.makefile("rb") as lines:
        assert orjson.loads(list(lines)[-1]) == {"op": "lease", "seconds": 0.0}
