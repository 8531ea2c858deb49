"""A podified stack on the real engine is what its compose files say."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from lab.cluster import DockerCluster
from lab.cluster import cluster as module
from lab.cluster.network import free_subnets
from lab.cluster.stack import PodStack
from lab.cluster.sweep import sweep_run
from lab.errors import BadInput
from lab.wait import wait_until
from tests.docker.conftest import PAIR

pytestmark = pytest.mark.docker


def docker(*argv: str) -> str:
    return subprocess.run(["docker", *argv], check=True, capture_output=True, text=True, timeout=60).stdout


def test_nodes_have_names_roles_and_addresses(pair: PodStack) -> None:
    """Numbered by role, addresses by index."""
    assert list(pair.nodes) == ["server1", "server2", "waiting"]
    assert [node.name for node in pair.role("backend")] == ["server1", "server2"]
    assert [node.address.rpartition(".")[2] for node in pair.nodes.values()] == ["10", "11", "12"]


def test_plain_names_resolve_in_every_pod(pair: PodStack) -> None:
    """Without DNS: the hosts file of each pod has all nodes."""
    said = docker("exec", pair.pods["server1"].server_id, "getent", "hosts", "server2", "waiting")
    assert said.split()[::2] == [pair.pods["server2"].address, pair.pods["waiting"].address]


def test_containers_know_who_they_are(pair: PodStack) -> None:
    """LAB_NODE, LAB_ADDRESS, and the host's name."""
    said = docker("exec", pair.pods["server2"].server_id, "sh", "-c", "echo $LAB_NODE $LAB_ADDRESS; hostname")
    assert said.split() == ["server2", pair.pods["server2"].address, "server2"]


def test_a_spare_server_waits_to_be_started(pair: PodStack) -> None:
    """Its host answers, its server does not run until it is started."""
    node = pair.pods["waiting"]
    assert not node.server_running()
    assert node.tell("processes")["processes"] == []
    node.start_server()
    assert len(node.tell("processes")["processes"]) == 1


def test_a_lab_cannot_reach_out(pair: PodStack) -> None:
    """Its network is internal, and no port is published."""
    details: dict[str, Any] = json.loads(docker("inspect", pair.pods["server1"].host_id))[0]
    (network,) = details["NetworkSettings"]["Networks"]
    assert json.loads(docker("network", "inspect", network))[0]["Internal"]
    assert not details["HostConfig"]["PortBindings"]


def test_the_run_folder_starts_by_hand(cluster: DockerCluster, tmp_path: Path) -> None:
    """`docker compose -f compose.json up` makes the same pods, without the lab."""
    stack = cluster.up("by-hand", [PAIR], {})
    cluster.logs(stack, tmp_path)
    assert (tmp_path / "logs" / "server1.log").exists()
    cluster.down(stack)
    file = str(tmp_path / "compose.json")
    try:
        docker("compose", "-f", file, "up", "-d", "--no-build", "--pull", "never")
        assert len(docker("compose", "-f", file, "ps", "-q").split()) == 6
        ask = "import urllib.request as u; print(u.urlopen('http://server2:8080').status)"

        def answers() -> bool:
            argv = ["docker", "compose", "-f", file, "exec", "-T", "server1", "python3", "-c", ask]
            return "200" in subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout

        wait_until(answers, timeout_s=20)
    finally:
        docker("compose", "-f", file, "down", "-v", "-t", "0")


def test_a_subnet_that_somebody_took_meanwhile_is_left_to_him(
    cluster: DockerCluster, pair: PodStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two labs at once: the second takes the next subnet."""
    taken = IPv4Network(pair.pods["server1"].address + "/24", strict=False)

    def late(*arguments: Any) -> Iterator[IPv4Network]:
        yield taken
        yield from free_subnets(*arguments)

    monkeypatch.setattr(module, "free_subnets", late)
    stack = cluster.up("second", [PAIR], {})
    assert IPv4Network(stack.pods["server1"].address + "/24", strict=False) != taken
    cluster.down(stack)
    assert sweep_run(cluster.run, arm="second") == 0


def test_a_compose_file_that_is_wrong_is_bad_input(cluster: DockerCluster, tmp_path: Path) -> None:
    """One clear message with Docker's own words, and nothing is left behind."""
    file = tmp_path / "wrong.yaml"
    file.write_text("services: {a: {image: x, ports: 7, labels: {lab.role: r}}}\n")
    with pytest.raises(BadInput, match="ports"):
        cluster.up("wrong", [str(file)], {})
    file.write_text("services: {a: {image: x}}\n")
    with pytest.raises(BadInput, match=r"service a: no label lab\.role"):
        cluster.up("wrong", [str(file)], {})
    assert sweep_run(cluster.run, arm="wrong") == 0


def test_versions_say_what_ran(cluster: DockerCluster, pair: PodStack) -> None:
    """For the report."""
    versions = cluster.versions
    assert versions["engine"] and versions["compose"].startswith("2") and versions["kernel"]
    assert versions["images"]["inside"].startswith("boring-lab/inside:")
    assert versions["shared"] is True
