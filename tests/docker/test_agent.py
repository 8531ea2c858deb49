"""Each operation of the agent does what it says, and there is evidence of it from another node."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lab import clock
from lab.cluster import DockerCluster
from lab.cluster.node import PodNode
from lab.cluster.stack import PodStack
from lab.errors import NodeLost
from lab.history import History
from lab.wait import TimedOut, wait_until

pytestmark = pytest.mark.docker

NARROW_NS = 20 * clock.MS


@pytest.fixture
def node(pair: PodStack) -> PodNode:
    """A node whose server answers."""
    target = pair.pods["server1"]
    serves(pair, target)
    return target


def seen(pair: PodStack, target: PodNode) -> dict[str, Any]:
    """What server2 sees of a node: an HTTP answer or the reason why not."""
    return pair.pods["server2"].tell("ask", probe="http", host=target.address, port=8080, timeout_s=0.3)


def serves(pair: PodStack, target: PodNode) -> None:
    wait_until(lambda: seen(pair, target).get("status") == 200, timeout_s=10, message=lambda: str(seen(pair, target)))


def instant(answer: dict[str, Any], start_ns: int) -> None:
    """The edge is an interval, narrow, within the call."""
    assert start_ns <= answer["after_ns"] <= answer["before_ns"] <= clock.now_ns()
    assert answer["before_ns"] - answer["after_ns"] < NARROW_NS


def test_processes_are_the_servers_alone(node: PodNode) -> None:
    """Neither the agent nor what belongs to the host is among them."""
    (process,) = node.tell("processes")["processes"]
    assert "http.server" in process["command"]
    assert process["state"] in "SR"


def test_stop_freezes_and_cont_thaws(pair: PodStack, node: PodNode) -> None:
    """Stopped: the kernel still accepts, nothing answers. Continued: it answers again."""
    start_ns = clock.now_ns()
    stopped = node.tell("signal", signal="STOP", wait_s=2.0)
    instant(stopped, start_ns)
    assert stopped["done"]
    assert [process["state"] for process in node.tell("processes")["processes"]] == ["T"]
    assert pair.pods["server2"].tell("ask", probe="tcp", host=node.address, port=8080)["open"]
    assert seen(pair, node)["why"] == "timeout"
    assert node.tell("signal", signal="CONT", wait_s=2.0)["done"]
    serves(pair, node)


def test_kill_ends_every_process_and_the_server_can_be_started_at_once(pair: PodStack, node: PodNode) -> None:
    """The host lives and refuses; a start right after the kill is not swallowed by the engine's lag."""
    start_ns = clock.now_ns()
    killed = node.tell("signal", signal="KILL", wait_s=2.0)
    instant(killed, start_ns)
    assert killed["done"] and len(killed["pids"]) == 1
    node.start_server()
    assert node.server_running()
    serves(pair, node)
    node.tell("signal", signal="KILL", wait_s=2.0)
    assert seen(pair, node)["why"] == "refused"
    wait_until(lambda: not node.server_running(), timeout_s=5)
    node.start_server()
    serves(pair, node)


def test_term_goes_to_the_main_process(pair: PodStack, node: PodNode) -> None:
    """A graceful stop; a signal to a server that is not there hits nobody."""
    (main,) = node.tell("processes")["processes"]
    answer = node.tell("signal", signal="TERM", wait_s=2.0)
    assert answer["done"] and answer["pids"] == [main["pid"]]
    assert node.tell("signal", signal="KILL", wait_s=2.0)["pids"] == []
    node.start_server()
    serves(pair, node)


def test_drop_is_silence_but_for_the_node_itself(pair: PodStack, node: PodNode) -> None:
    """Peers get no answer, the counters grow, `lo` works; undrop brings all back. Both are idempotent."""
    assert not node.tell("rules")["dropping"]
    start_ns = clock.now_ns()
    instant(node.tell("drop"), start_ns)
    instant(node.tell("drop"), start_ns)
    assert seen(pair, node)["why"] == "timeout"
    assert node.tell("ask", probe="http", host="127.0.0.1", port=8080)["status"] == 200
    rules = node.tell("rules")
    assert rules["dropping"] and rules["packets"] > 0 and rules["bytes"] > 0
    node.tell("undrop")
    node.tell("undrop")
    assert not node.tell("rules")["dropping"]
    serves(pair, node)


def test_a_node_heals_itself_when_nobody_renews_its_lease(pair: PodStack, node: PodNode) -> None:
    """Rules go and stopped processes go on, though the lab never said so."""
    node.tell("drop")
    node.tell("signal", signal="STOP", wait_s=2.0)

    def healed() -> bool:
        # The lab's own renewal may come between; then it is asked again.
        node.tell("lease", seconds=0.2)
        with suppress(TimedOut):
            return wait_until(lambda: not node.tell("rules")["dropping"], timeout_s=0.6, every_s=0.1)
        return False

    wait_until(healed, timeout_s=10)
    serves(pair, node)


def test_a_refusal_is_an_error_that_names_node_and_reason(node: PodNode) -> None:
    """Never a silent success."""
    with pytest.raises(NodeLost, match="server1: its agent refused 'dance'"):
        node.tell("dance")
    with pytest.raises(NodeLost, match="server1: its agent did not answer 'signal' within"):
        node.tell("signal", signal="TERM", wait_s=1, timeout_s=0.000001)
    wait_until(lambda: not node.server_running(), timeout_s=5)
    node.start_server()


def test_orphans_are_reaped(node: PodNode) -> None:
    """What the server leaves behind does not stay as zombies of PID 1."""
    orphan = ["docker", "exec", node.server_id, "sh", "-c", "(sleep 0.05 &) ; (sleep 0.1 &)"]
    subprocess.run(orphan, check=True, timeout=10)
    look = ["docker", "exec", node.host_id, "sh", "-c", "cat /proc/[0-9]*/stat"]

    def zombies() -> list[str]:
        stats = subprocess.run(look, capture_output=True, text=True, timeout=10, check=False).stdout.splitlines()
        return [stat for stat in stats if "sleep" in stat]

    wait_until(lambda: not zombies(), timeout_s=5, every_s=0.1, message=lambda: str(zombies()))


def test_collect_brings_each_event_once(cluster: DockerCluster, pair: PodStack, tmp_path: Path) -> None:
    """Every agent writes; a second collect has only what is new; the header is in both."""
    first, second = (tmp_path / name for name in ("first", "second"))
    for folder in (first, second):
        folder.mkdir()

    def lags(folder: Path) -> list[tuple[str, int]]:
        return [event.ref for event in History.read(folder.glob("*.jsonl")).of("lag")]

    cluster.collect(pair, first)
    assert {writer for writer, _ in lags(first)} >= {"agent/server1", "agent/server2", "agent/waiting"}

    def more() -> bool:
        cluster.collect(pair, second)
        return len(lags(second)) > 0

    wait_until(more, timeout_s=5, every_s=0.5)
    history = History.read(second.glob("*.jsonl"))
    assert history.gaps == 0
    assert not set(lags(first)) & set(lags(second))
    seconds = [event.fields["ticks"] for event in history.of("lag")]
    assert all(50 <= ticks <= 110 for ticks in seconds), seconds


def test_vanish_takes_the_address_away_and_it_comes_back(
    cluster: DockerCluster, pair: PodStack, node: PodNode, tmp_path: Path
) -> None:
    """The host is gone with its server, and nobody refuses for it; then it is back, with a new history."""
    address = node.address
    node.kill_host()
    wait_until(lambda: not node.server_running(), timeout_s=5)
    with pytest.raises(NodeLost, match="server1: its host is gone"):
        wait_until(lambda: not node.tell("ping"), timeout_s=2)
    assert pair.pods["server2"].tell("ask", probe="tcp", host=address, port=8080)["why"] != "refused"
    node.start_host()
    serves(pair, node)
    cluster.collect(pair, tmp_path)
    sources = History.read(tmp_path.glob("agent-server1.*.jsonl")).sources
    assert 2 in {source.incarnation for source in sources}


def test_stop_is_obeyed_at_once(pair: PodStack) -> None:
    """`docker stop` of a host does not wait out its grace."""
    node = pair.pods["waiting"]
    start_ns = clock.now_ns()
    subprocess.run(["docker", "stop", "-t", "10", node.host_id], check=True, capture_output=True, timeout=20)
    assert clock.now_ns() - start_ns < 5 * clock.S
    node.start_host()
