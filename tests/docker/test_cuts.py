"""Cuts, fences and slow links on a real engine: what is cut is cut, what is not is not, and the counters say so."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from lab import clock
from lab.cluster import DockerCluster
from lab.cluster.node import PodNode
from lab.cluster.stack import PodStack
from lab.inside.cuts import MANAGEMENT_PORT
from lab.wait import TimedOut, wait_until

pytestmark = pytest.mark.docker

PEER = (Path(__file__).parent / "peer.py").read_text()
NARROW_NS = 20 * clock.MS
PORT = 5432


class Peer:
    """A Python program in a node's server container (peer.py); it ends with the test."""

    def __init__(self, node: PodNode, *arguments: object) -> None:
        command = ["docker", "exec", "-i", node.server_id, "/opt/venv/bin/python3", "-c", PEER, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.line() == "ready"

    def line(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def talk(self) -> tuple[str, float]:
        """Say 8 bytes: what came of it, and after how many milliseconds."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        word, took_ms = self.line().split()
        return word, float(took_ms)


@pytest.fixture(scope="module")
def stack(cluster: DockerCluster) -> PodStack:
    """server1, server2 (HTTP on port 8080) and a link."""
    return cluster.up("cuts", [str(Path(__file__).parent / "pair.yaml"), "link.yaml"], {})


@pytest.fixture
def pair(stack: PodStack) -> Iterator[tuple[PodNode, PodNode]]:
    """server1 and server2, without cuts before and after; server2 is who looks."""
    one, two = stack.pods["server1"], stack.pods["server2"]
    wait_until(lambda: connects(two, one) == "" and connects(one, two) == "", timeout_s=10)
    yield one, two
    for node in (one, two):
        node.tell("unfence")
        node.tell("uncut")
        node.tell("undrop")
        node.start_server()


@pytest.fixture
def program() -> Iterator[Callable[..., Peer]]:
    """Programs inside containers: program(node, "serve", 5432)."""
    running: list[tuple[PodNode, Peer]] = []

    def run(node: PodNode, *arguments: object) -> Peer:
        running.append((node, Peer(node, *arguments)))
        return running[-1][1]

    yield run
    for node, peer in running:
        node.tell("signal", signal="KILL", match="peer.py|sys.argv")
        with peer.process:
            pass


def connects(node: PodNode, to: PodNode, port: int = 8080) -> str:
    """Empty when a connection came about, else why not."""
    return str(node.tell("ask", probe="tcp", host=to.address, port=port, timeout_s=0.3)["why"])


def counted(node: PodNode) -> dict[tuple[str, str], int]:
    return {(row["direction"], row["how"]): row["packets"] for row in node.tell("rules")["cuts"]}


@pytest.mark.parametrize("ports", [[], [8080]])
@pytest.mark.parametrize("how", ["drop", "reset"])
@pytest.mark.parametrize("direction", ["both", "in", "out"])
def test_a_cut_stops_its_directions_and_counts_both(
    pair: tuple[PodNode, PodNode], direction: str, how: str, ports: list[int]
) -> None:
    """What is stopped is counted as such, what passes too; the edges are narrow; uncut brings all back, twice too."""
    node, peer = pair
    start_ns = clock.now_ns()
    answer = node.tell("cut", peers=[peer.address], ports=ports, direction=direction, how=how)
    assert start_ns <= answer["after_ns"] <= answer["before_ns"] <= clock.now_ns()
    assert answer["before_ns"] - answer["after_ns"] < NARROW_NS
    to_node, from_node = connects(peer, node), connects(node, peer)
    told = "refused" if how == "reset" else "timeout"
    assert to_node == (told if direction != "out" else "timeout")
    assert from_node == (told if direction != "in" else "timeout")
    packets = counted(node)
    for way in ("in", "out"):
        assert packets.pop((way, how if direction in ("both", way) else "pass")) > 0
    assert not packets
    for _ in range(2):
        healed = node.tell("uncut", cuts=[answer["cut"]])
        assert 0 <= healed["before_ns"] - healed["after_ns"] < NARROW_NS
    assert counted(node) == {}
    assert connects(peer, node) == connects(node, peer) == ""


def test_a_cut_spares_others_other_ports_and_the_node_itself(stack: PodStack, pair: tuple[PodNode, PodNode]) -> None:
    """Who is not named, what is not named, and lo; several cuts hold at once and go one by one."""
    node, peer = pair
    third = stack.pods["toxiproxy"]
    first = node.tell("cut", peers=[peer.address])["cut"]
    second = node.tell("cut", ports=[8080], how="reset")["cut"]
    assert connects(third, node, 9) == "refused"
    assert connects(peer, node, 9) == "timeout"
    assert connects(third, node) == "refused"
    assert connects(node, node) == ""
    node.tell("uncut", cuts=[second])
    assert connects(third, node) == ""
    assert connects(peer, node) == "timeout"
    assert {row["cut"] for row in node.tell("rules")["cuts"]} == {first}
    node.tell("uncut")
    assert connects(peer, node) == ""


def test_reset_breaks_sessions_of_both_sides_at_once(
    pair: tuple[PodNode, PodNode], program: Callable[..., Peer]
) -> None:
    """The first packet of either side is answered with RST: what is on the node and what is off it."""
    node, peer = pair
    for one in pair:
        program(one, "serve", PORT)
    from_peer, from_node = program(peer, "talk", node.address, PORT), program(node, "talk", peer.address, PORT)
    assert from_peer.talk()[0] == from_node.talk()[0] == "N"
    node.tell("cut", ports=[PORT], how="reset")
    for session in (from_peer, from_node):
        word, took_ms = session.talk()
        assert word in ("ConnectionResetError", "BrokenPipeError")
        assert took_ms < 50
    node.tell("uncut")
    assert program(peer, "talk", node.address, PORT).talk()[0] == "N"


def test_drop_leaves_sessions_waiting(pair: tuple[PodNode, PodNode], program: Callable[..., Peer]) -> None:
    """Nobody is told; when the cut ends TCP goes on where it was."""
    node, peer = pair
    program(node, "serve", PORT)
    session = program(peer, "talk", node.address, PORT)
    node.tell("cut", direction="in")
    assert session.talk()[0] == "TimeoutError"
    node.tell("uncut")
    wait_until(lambda: session.talk()[0] == "N", timeout_s=5)


def order(node: PodNode, to: PodNode, message: dict[str, Any]) -> dict[str, Any]:
    """What the fence of a node answers to another one."""
    code = (
        "import socket,sys;s=socket.create_connection((sys.argv[1],int(sys.argv[2])),1);s.settimeout(5);"
        "s.sendall(sys.argv[3].encode()+b'\\n');print(s.makefile().readline())"
    )
    line = orjson.dumps(message).decode()
    python = ["docker", "exec", node.server_id, "/opt/venv/bin/python3", "-c", code]
    done = subprocess.run(
        [*python, to.address, str(MANAGEMENT_PORT), line], capture_output=True, text=True, timeout=20, check=False
    )
    return dict(orjson.loads(done.stdout)) if done.returncode == 0 else {"ok": False, "error": done.stderr[-100:]}


def test_the_management_port_survives_cuts_and_no_power_loss(pair: tuple[PodNode, PodNode]) -> None:
    """A network of its own: a node that is cut off from everybody can still be fenced, one without power cannot."""
    node, peer = pair
    for _ in range(2):
        node.tell("manage", port=MANAGEMENT_PORT)
    assert order(peer, node, {"do": "ping"}) == {"ok": True}
    node.tell("cut")
    node.tell("cut", peers=[peer.address], how="reset")
    assert connects(peer, node) != ""
    assert order(peer, node, {"do": "ping"}) == {"ok": True}
    node.tell("drop")
    assert not order(peer, node, {"do": "ping"})["ok"]
    node.tell("undrop")
    nonsense = order(peer, node, {"do": "fence", "how": "shout"})
    assert not nonsense["ok"] and "stop, cut_clients, read_only" in nonsense["error"]


def test_fence_cut_clients_hits_those_clients_and_their_sessions(
    stack: PodStack, pair: tuple[PodNode, PodNode], program: Callable[..., Peer]
) -> None:
    """New connections are refused, open ones break at once, others are served; unfence ends it."""
    node, peer = pair
    third = stack.pods["toxiproxy"]
    program(node, "serve", PORT)
    session = program(peer, "talk", node.address, PORT)
    assert session.talk()[0] == "N"
    node.tell("manage", port=MANAGEMENT_PORT)
    answer = order(peer, node, {"do": "fence", "how": "cut_clients", "clients": [peer.address]})
    assert answer["ok"] and 0 <= answer["before_ns"] - answer["after_ns"] < NARROW_NS
    word, took_ms = session.talk()
    assert word in ("ConnectionResetError", "BrokenPipeError") and took_ms < 50
    assert connects(peer, node, PORT) == "refused"
    assert connects(third, node, PORT) == ""
    assert connects(peer, node) == ""
    assert order(peer, node, {"do": "unfence"})["ok"]
    assert connects(peer, node, PORT) == ""


def test_fence_stop_ends_the_server_and_leaves_the_host(pair: tuple[PodNode, PodNode]) -> None:
    """As a crash: its processes are gone when the answer comes."""
    node, peer = pair
    node.tell("manage", port=MANAGEMENT_PORT)
    answer = order(peer, node, {"do": "fence", "how": "stop"})
    assert answer["ok"] and node.tell("processes")["processes"] == []
    assert connects(peer, node) == "refused"


def test_read_only_without_a_server_fails_and_says_so(pair: tuple[PodNode, PodNode]) -> None:
    """Nobody may take a fence for done that is not."""
    node, peer = pair
    node.tell("manage", port=MANAGEMENT_PORT)
    answer = order(peer, node, {"do": "fence", "how": "read_only"})
    assert not answer["ok"] and "refused" in answer["error"].lower()


def test_a_lease_that_ran_out_undoes_cuts_and_fences(pair: tuple[PodNode, PodNode]) -> None:
    """A lab that died leaves no node cut off."""
    node, peer = pair
    node.tell("manage", port=MANAGEMENT_PORT)
    order(peer, node, {"do": "fence", "how": "cut_clients", "clients": [peer.address]})
    node.tell("cut", peers=[peer.address])
    assert len({row["cut"] for row in node.tell("rules")["cuts"]}) == 2

    def healed() -> bool:
        # The lab's own renewal may come between; then it is asked again.
        node.tell("lease", seconds=0.2)
        with suppress(TimedOut):
            return wait_until(lambda: not node.tell("rules")["cuts"], timeout_s=0.6, every_s=0.1)
        return False

    wait_until(healed, timeout_s=10)
    assert connects(peer, node) == ""


def test_a_signal_hits_those_that_match(pair: tuple[PodNode, PodNode], program: Callable[..., Peer]) -> None:
    """One process of several; the others live, and nobody is hit where nothing matches."""
    node, peer = pair
    program(node, "serve", PORT)
    assert node.tell("signal", signal="KILL", match="no such thing")["pids"] == []
    killed = node.tell("signal", signal="KILL", match=r"serve 5432$")
    assert len(killed["pids"]) == 1 and killed["done"]
    assert connects(peer, node, PORT) == "refused"
    assert connects(peer, node) == ""


def test_100_ms_on_a_link_are_seen_as_100_ms(
    stack: PodStack, pair: tuple[PodNode, PodNode], program: Callable[..., Peer]
) -> None:
    """Set, read back and measured through the proxy, to 5 %; without it the proxy costs little."""
    node, peer = pair
    link = stack.pods["toxiproxy"]
    program(node, "serve", PORT)

    def through(times: int = 20) -> float:
        seen = [peer.tell("ask", probe="greet", host=link.address, port=5433, timeout_s=2.0) for _ in range(times)]
        return statistics.median(float(answer["took_ns"]) / clock.MS for answer in seen)

    proxy: dict[str, Any] = {"name": "replication", "listen": "0.0.0.0:5433", "upstream": f"{node.address}:{PORT}"}
    for latency_ms in (0, 100, 40, 0):
        for _ in range(2):
            (told,) = link.tell("toxic", **proxy, latency_ms=latency_ms)["proxies"]
            assert told["latency_ms"] == latency_ms and told["upstream"] == proxy["upstream"] and told["enabled"]
        assert link.tell("toxics")["proxies"] == [told]
        measured = through()
        assert latency_ms * 0.95 <= measured <= max(latency_ms * 1.05, 5.0), measured
