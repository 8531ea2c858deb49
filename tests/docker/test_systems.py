"""Real BIND, Unbound, ZooKeeper and sample service in pods: they start, register, remove, and keep their promises."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.clock import S
from lab.cluster import images
from lab.cluster.cluster import DockerCluster, new_run_id
from lab.cluster.stack import PodStack
from lab.history import Event, History
from lab.protocols import Bounds, System
from lab.systems import Dns, Service, ZooKeeper
from lab.systems.dns import OWNER
from lab.wait import wait_until

pytestmark = pytest.mark.docker

COMPOSE = Path(__file__).resolve().parents[2] / "compose"
ALLOWANCE_S = 0.3
"""What a busy machine of two cores adds to a bound: this is about servers, not about the lab's own lag."""


class Arm:
    """A stack that is ready, and what its writers have written so far."""

    def __init__(self, cluster: DockerCluster, stack: PodStack, systems: Sequence[System], folder: Path) -> None:
        self.cluster = cluster
        self.stack = stack
        self.systems = systems
        self.folder = folder
        self.collected = 0

    def lacks(self) -> list[str]:
        return [text for system in self.systems for text in system.lacking(self.stack)]

    def await_ready(self) -> None:
        last: list[str] = []

        def ready() -> bool:
            last[:] = self.lacks()
            return not last

        wait_until(ready, timeout_s=60, message=lambda: "; ".join(last))

    def history(self) -> History:
        """Everything written since the last look."""
        self.collected += 1
        folder = self.folder / str(self.collected)
        folder.mkdir()
        self.cluster.collect(self.stack, folder)
        return History.read(folder.glob("*.jsonl"))

    def seen(self, kind: str, node: str, present: bool, count: int = 1) -> list[Event]:
        """Wait for `count` registry events of a node; those before the call count only if nobody has looked yet."""
        found: list[Event] = []

        def enough() -> bool:
            found.extend(
                event
                for event in self.history().of(kind)
                if event.fields["node"] == node and event.fields["present"] is present
            )
            return len(found) >= count

        wait_until(enough, timeout_s=30, message=f"{kind} of {node} was seen {len(found)} times")
        return found

    def kill(self, node: str) -> int:
        """SIGKILL to a node's server; the instant of the edge."""
        edge = self.stack.nodes[node].tell("signal", signal="KILL", wait_s=2.0)
        assert edge["done"]
        return int(edge["after_ns"] + edge["before_ns"]) // 2


@contextmanager
def arm_of(folder: Path, *systems: System) -> Iterator[Arm]:
    files = [file for system in systems for file in system.compose_files]
    environment = {name: value for system in systems for name, value in system.environment.items()}
    with DockerCluster(new_run_id(), progress=lambda _: None, share=True) as cluster:
        arm = Arm(cluster, cluster.up("arm", files, environment | {"LAB_SEED": "7"}), systems, folder)
        for system in systems:
            system.reset(arm.stack)
        arm.await_ready()
        yield arm


def high_of(bounds: Bounds | None, phase: str) -> float:
    assert bounds is not None
    return next(each.high_s for each in bounds.phases if each.name == phase)


def low_of(bounds: Bounds | None, phase: str) -> float:
    assert bounds is not None
    return next(each.low_s for each in bounds.phases if each.name == phase)


def started(arm: Arm, node: str) -> int:
    """Start a node's server; the instant from which it serves."""
    arm.stack.nodes[node].start_server()
    up: list[Event] = []

    def serves() -> bool:
        up.extend(event for event in arm.history().of("instance.up") if event.fields["node"] == node)
        return bool(up)

    wait_until(serves, timeout_s=20)
    return up[-1].t_ns


DNS = Dns(ttl_s=2)


@pytest.fixture(scope="class")
def dns_arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arm]:
    with arm_of(tmp_path_factory.mktemp("dns"), Service(instances=4), DNS) as arm:
        yield arm


class TestDns:
    """One stack for all of them."""

    def test_takes_a_crashed_instance_out_and_in_again(self, dns_arm: Arm) -> None:
        """Registrar, ns1, ns2 and the resolver follow a crash and a return, each phase inside its bound."""
        dns_arm.await_ready()
        dns_arm.history()
        for change, act in (("crash", dns_arm.kill), ("return", lambda node: started(dns_arm, node))):
            at_ns = act("backend2")
            propagated = dns_arm.seen("registry.propagated", "backend2", change == "return")[-1]
            took_s = (propagated.t_ns - at_ns) / S
            bounds = DNS.bounds(change)
            assert bounds is not None
            before_clients = sum(phase.high_s for phase in bounds.phases[:-1])
            assert bounds.low_s <= took_s <= before_clients + ALLOWANCE_S, (change, took_s)

    def test_answers_are_srv_records_with_addresses(self, dns_arm: Arm) -> None:
        """Priority, weight, port and target for every instance, and the targets' addresses."""
        dns_arm.await_ready()
        resolver = dns_arm.stack.nodes["resolver"]
        answer = resolver.tell("ask", probe="dns", host="127.0.0.1", name=OWNER, type="SRV")
        assert sorted(answer["answers"]) == [f"0 100 8080 backend{n}.lab.test." for n in (1, 2, 3, 4)]
        address = resolver.tell("ask", probe="dns", host="127.0.0.1", name="backend3.lab.test", type="A")
        assert address["answers"] == [dns_arm.stack.nodes["backend3"].address]

    def test_beat_is_where_the_resolver_asks_again(self, dns_arm: Arm) -> None:
        """A name that is kept hot is fetched anew at the beat, whole TTLs apart, to within 50 ms."""
        dns_arm.await_ready()
        resolver = dns_arm.stack.nodes["resolver"]
        beat = DNS.beat(dns_arm.stack)
        assert beat is not None and beat.period_s == DNS.ttl_s
        fetched: list[int] = []
        last = [0]

        def jumped() -> bool:
            answer = resolver.tell("ask", probe="dns", host="127.0.0.1", name=OWNER, type="SRV")
            if answer["ttl"] > last[0] > 0:
                fetched.append(answer["t_ns"])
            last[0] = answer["ttl"]
            return len(fetched) == 3

        wait_until(jumped, timeout_s=10, every_s=0.005)
        period_ns = int(beat.period_s * S)
        offsets_s = [((t_ns - beat.at_ns + period_ns // 2) % period_ns - period_ns // 2) / S for t_ns in fetched]
        assert all(-0.01 <= offset <= 0.05 for offset in offsets_s), offsets_s

    def test_primary_keeps_its_zone_over_a_crash(self, dns_arm: Arm) -> None:
        """The zone lies in the container: after SIGKILL and start the records and the serial are still there."""
        dns_arm.await_ready()
        ns1 = dns_arm.stack.nodes["ns1"]

        def serial() -> int:
            answer = ns1.tell("ask", probe="dns", host="127.0.0.1", name="lab.test", type="SOA")
            return int(answer["answers"][0].split()[2]) if answer["reached"] and answer["answers"] else 0

        before = serial()
        dns_arm.kill("ns1")
        ns1.start_server()
        wait_until(serial, timeout_s=10)
        assert serial() >= before > 1
        dns_arm.await_ready()


@pytest.mark.parametrize(("delay_s", "low_s", "high_s"), [(0, 0.0, 0.3), (5, 3.5, 5.3)])
def test_notify_delay_holds_back_the_second_of_two_quick_updates(
    delay_s: int, low_s: float, high_s: float, tmp_path: Path
) -> None:
    """The first change has just come to ns2 when the second is made: it waits for notify-delay there, or does not."""
    quick = Dns(check_interval_s=0.2, check_timeout_s=0.1, failures_to_remove=1, notify_delay_s=delay_s)
    with arm_of(tmp_path, Service(instances=3), quick) as arm:
        arm.kill("backend1")
        arm.seen("registry.propagated", "backend1", False)
        arm.kill("backend2")
        events: dict[str, Event] = {}

        def both() -> bool:
            for event in arm.history().of("registry.published", "registry.propagated"):
                if event.fields["node"] == "backend2" and not event.fields["present"]:
                    events[event.kind] = event
            return len(events) == 2

        wait_until(both, timeout_s=20)
    took_s = (events["registry.propagated"].t_ns - events["registry.published"].t_ns) / S
    assert low_s <= took_s <= high_s


@pytest.mark.parametrize("servers", [1, 3, 5])
def test_zookeeper_of_every_size_follows_crash_return_and_goodbye(servers: int, tmp_path: Path) -> None:
    """One leader; every server shows a crash inside the session's bounds, a return and a goodbye soon."""
    keeper = ZooKeeper(servers=servers, session_timeout_s=2, tick_s=0.5)
    with arm_of(tmp_path, Service(instances=3), keeper) as arm:
        assert keeper.leader(arm.stack) in keeper.server_nodes
        arm.history()

        at_ns = arm.kill("backend2")
        took = {
            e.fields["server"]: (e.t_ns - at_ns) / S for e in arm.seen("registry.published", "backend2", False, servers)
        }
        crash = keeper.bounds("crash")
        assert set(took) == set(keeper.server_nodes)
        assert low_of(crash, "detection") - 0.1 <= min(took.values()), took
        assert max(took.values()) <= high_of(crash, "detection") + ALLOWANCE_S, took

        arm.stack.nodes["backend2"].start_server()
        shown = arm.seen("registry.published", "backend2", True, servers)
        assert {event.fields["incarnation"] for event in shown} == {2}
        arm.await_ready()

        asked_ns = arm.stack.nodes["backend3"].tell("signal", signal="TERM", wait_s=0.0)["sent_ns"]
        goodbye = [(event.t_ns - asked_ns) / S for event in arm.seen("registry.published", "backend3", False, servers)]
        promised = keeper.bounds("graceful_stop")
        assert promised is not None
        assert max(goodbye) <= promised.high_s + ALLOWANCE_S


def test_an_instance_registers_anew_after_its_session_was_lost(tmp_path: Path) -> None:
    """Paused for longer than its session it is taken out; when it goes on it comes back by itself, the same one."""
    with arm_of(tmp_path, Service(instances=2), ZooKeeper(servers=1, session_timeout_s=1, tick_s=0.5)) as arm:
        arm.history()
        paused = arm.stack.nodes["backend1"]
        paused.tell("signal", signal="STOP", wait_s=1.0)
        arm.seen("registry.published", "backend1", False)
        paused.tell("signal", signal="CONT", wait_s=1.0)
        assert arm.seen("registry.published", "backend1", True)[0].fields["incarnation"] == 1
        arm.await_ready()


@pytest.mark.parametrize("registry", [Dns(ttl_s=1), ZooKeeper(servers=1)])
def test_a_spare_is_ready_to_be_started_and_is_found_then(registry: System, tmp_path: Path) -> None:
    """The stack is ready without it; once started it registers like the others."""
    with arm_of(tmp_path, Service(instances=3, spares=1), registry) as arm:
        spare = arm.stack.nodes["backend3"]
        assert not spare.server_running()
        arm.history()
        started(arm, "backend3")
        wait_until(lambda: not registry.lacking(arm.stack), timeout_s=10)


def test_a_draining_instance_serves_until_it_is_down(tmp_path: Path) -> None:
    """SIGTERM: unhealthy at once, still serving for drain_s, then down by itself; every instant on record."""
    with arm_of(tmp_path, Service(instances=2, drain_s=1.5), Dns(ttl_s=1)) as arm:
        node = arm.stack.nodes["backend1"]
        arm.history()
        asked_ns = node.tell("signal", signal="TERM", wait_s=0.0)["sent_ns"]

        def get(path: str) -> Any:
            return node.tell("ask", probe="http", host="127.0.0.1", port=8080, path=path).get("status")

        wait_until(lambda: get("/health") == 503, timeout_s=1, message="it does not say that it drains")
        assert get("/") == 200
        wait_until(lambda: not node.server_running(), timeout_s=10)
        events = {event.kind: event for event in arm.history() if event.writer == "service/backend1"}
        assert (events["instance.leaving"].t_ns - asked_ns) / S < 0.1 + ALLOWANCE_S
        drained_s = (events["instance.down"].t_ns - events["instance.leaving"].t_ns) / S
        assert 1.5 <= drained_s <= 1.6 + ALLOWANCE_S


@contextmanager
def by_hand(project: str, files: Sequence[str], environment: dict[str, str]) -> Iterator[Callable[..., str]]:
    """`docker compose -f ... up -d` of the plain files, as a person would."""
    images.ensure(["inside", "dns", "zookeeper"], lambda _: None)
    options = [option for file in files for option in ("-f", str(COMPOSE / file))]

    def compose(*arguments: str) -> str:
        command = ["docker", "compose", "-p", project, *options, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
        assert done.returncode == 0 or arguments[0] == "exec", done.stderr
        return done.stdout

    try:
        compose("up", "-d", "--quiet-pull")
        yield compose
    finally:
        compose("down", "-t", "1", "-v")


STATUS = (
    "import socket; s = socket.socket(socket.AF_UNIX); s.connect(chr(0) + 'lab-control');"
    's.sendall(b\'{"do": "status"}\\n\'); print(s.makefile().readline())'
)


FILES = {"dns": Dns.compose_files, "zookeeper": ZooKeeper.compose_files}


@pytest.mark.parametrize(("registry", "teller"), [("dns", "registrar"), ("zookeeper", "observer")])
def test_the_plain_files_work_by_hand(registry: str, teller: str) -> None:
    """Without the lab, without pods: replicas find each other by the engine's DNS, and all instances are registered."""
    environment = {**os.environ, "LAB_INSTANCES": "3", "LAB_REGISTRY": registry}
    with by_hand(f"lab-by-hand-{registry}", ["service.yaml", *FILES[registry]], environment) as compose:

        def registered() -> bool:
            said = compose("exec", "-T", teller, "/opt/venv/bin/python3", "-c", STATUS)
            return bool(said.strip()) and len(json.loads(said)["registered"]) == 3

        wait_until(registered, timeout_s=30, every_s=0.3, message="not all three instances are registered")
