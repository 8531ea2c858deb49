"""A look into a stack from outside of the lab that started it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lab.cluster import DockerCluster, kept
from lab.cluster.stack import PodStack
from lab.errors import BadInput
from tests.docker.conftest import PAIR

pytestmark = pytest.mark.docker


def test_a_command_in_a_node_and_its_exit_code(pair: PodStack) -> None:
    """The server by default, its host when asked; what it prints goes to this terminal."""
    look = "shell('server2', sys.argv[2:], arm='pair', part=sys.argv[1])"
    code = f"import sys; from lab.cluster.kept import shell; sys.exit({look})"

    def run(part: str, *command: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", code, part, *command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)

    done = run("server", "sh", "-c", "cat /proc/1/comm; exit 7")
    assert done.returncode == 7
    assert run("host", "hostname").stdout == "server2\n"


def test_logs_of_a_node(pair: PodStack) -> None:
    """With time stamps; a host keeps none, and says so."""
    assert isinstance(kept.logs("server1", arm="pair"), str)
    with pytest.raises(BadInput, match="a host keeps no log"):
        kept.logs("server1", arm="pair", part="host")


def test_what_is_not_there_is_named(pair: PodStack) -> None:
    """No such node: the ones there are. No such arm: how to get a stack. Not running: where to look."""
    with pytest.raises(BadInput, match="node backend9: no such node; there are: server1, server2, waiting"):
        kept.logs("backend9", arm="pair")
    with pytest.raises(BadInput, match="no stack of arm none is there; `lab run SCENARIO --keep`"):
        kept.logs("server1", arm="none")
    with pytest.raises(BadInput, match="node waiting: its server does not run"):
        kept.shell("waiting", [], arm="pair")


def test_a_kept_stack_needs_no_lab(cluster: DockerCluster) -> None:
    """After keep its nodes are not renewed and not ended; down still removes it."""
    stack = cluster.up("kept", [PAIR], {})
    cluster.keep(stack)
    assert stack.pods["server1"].tell("lease", seconds=0)["expired"] == 0
    cluster.down(stack)
    with pytest.raises(BadInput, match="no stack of arm kept"):
        kept.logs("server1", arm="kept")
