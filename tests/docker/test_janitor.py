"""kill -9 of a lab at any moment: within 10 s nothing of its run is left, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cluster.lock import hold_run
from lab.cluster.sweep import sweep_run
from lab.wait import wait_until
from tests.docker.conftest import PAIR

pytestmark = pytest.mark.docker

LIMIT_S = 10.0
LAB = """
import signal, sys
from lab.cluster import DockerCluster, images

def tell(fields):
    print("told", fields.get("what"), fields.get("step", ""), flush=True)

def main(run, doing, file):
    with DockerCluster(run, progress=tell, share=True) as cluster:
        print("janitor", cluster._janitor._process.pid, flush=True)
        print("folder", cluster._folder, flush=True)
        if doing == "build":
            images.rebuild(["base"], tell)
        stack = cluster.up("pair", [file], {})
        print("up", flush=True)
        if doing == "fault":
            stack.nodes["server1"].tell("drop")
            stack.nodes["server2"].tell("signal", signal="STOP")
            print("struck", flush=True)
        if doing == "keep":
            cluster.keep(stack)
            print("kept", flush=True)
        if doing != "close":
            signal.pause()

main(*sys.argv[1:])
"""


class DyingLab:
    """A lab in a process of its own, to be killed."""

    def __init__(self, run: str, doing: str) -> None:
        self.run = run
        root = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAB, run, doing, PAIR],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": root},
        )

    def says(self, word: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word):
                return line.removeprefix(word).strip()
        raise AssertionError(f"it ended without saying {word!r}")

    def left(self) -> list[str]:
        """Containers, networks and volumes of the run."""
        found: list[str] = []
        for what in (["ps", "-a"], ["network", "ls"], ["volume", "ls"]):
            argv = ["docker", *what, "-q", "--filter", f"label=lab.run={self.run}"]
            found += subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout.split()
        return found

    def kill(self) -> float:
        self.process.kill()
        self.process.wait()
        return time.monotonic()

    def gone_since(self, killed: float) -> None:
        """Everything is gone within the limit, and so is the janitor, which held the run's lock to its end."""
        wait_until(
            lambda: not self.left(),
            timeout_s=LIMIT_S - (time.monotonic() - killed),
            every_s=0.1,
            message=lambda: f"left: {self.left()}",
        )

        def free() -> bool:
            lock = hold_run(self.run)
            if lock is not None:
                lock.close(remove=True)
            return lock is not None

        wait_until(free, timeout_s=LIMIT_S, every_s=0.1, message="the janitor still holds the run's lock")
        assert not self.left()


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[DyingLab]:
    """A lab that does what the test's parameter says; whatever happens, it is gone after the test."""
    doing = str(request.param)
    dying = DyingLab(f"test-janitor-{doing}-{os.getpid()}", doing)
    yield dying
    dying.kill()
    assert dying.process.stdout is not None
    dying.process.stdout.close()
    sweep_run(dying.run)


@pytest.mark.parametrize("lab", ["up"], indirect=True)
def test_killed_while_containers_are_made(lab: DyingLab) -> None:
    """A `docker compose` that is still creating is ended first, so nothing new comes after the sweep."""
    folder = Path(lab.says("folder"))
    wait_until(lab.left, timeout_s=60, every_s=0.01)
    lab.gone_since(lab.kill())
    assert not folder.exists()


@pytest.mark.parametrize("lab", ["up"], indirect=True)
def test_killed_when_up(lab: DyingLab) -> None:
    """Containers, network, volume and the folder in /tmp are removed; the janitor lives in a session of its own."""
    janitor = int(lab.says("janitor"))
    assert os.getsid(janitor) == janitor
    folder = Path(lab.says("folder"))
    lab.says("up")
    assert len(lab.left()) == 6 + 1 + 1
    lab.gone_since(lab.kill())
    assert not folder.exists()


@pytest.mark.parametrize("lab", ["fault"], indirect=True)
def test_killed_while_a_fault_is_in_effect(lab: DyingLab) -> None:
    """Stopped processes and packet rules do not keep a pod from going."""
    lab.says("struck")
    lab.gone_since(lab.kill())


@pytest.mark.parametrize("lab", ["build"], indirect=True)
def test_killed_during_an_image_build(lab: DyingLab) -> None:
    """The engine ends the build, and no container of it is left."""

    def containers() -> set[str]:
        return set(subprocess.run(["docker", "ps", "-aq"], check=True, capture_output=True, text=True).stdout.split())

    before = containers()
    lab.says("told building 2")
    lab.gone_since(lab.kill())
    wait_until(lambda: containers() <= before, timeout_s=LIMIT_S, every_s=0.2)


@pytest.mark.parametrize("lab", ["close"], indirect=True)
def test_a_lab_that_ends_well_leaves_nothing(lab: DyingLab) -> None:
    """Closing removes everything itself and lets the janitor go."""
    janitor = int(lab.says("janitor"))
    lab.process.wait(60)
    assert lab.process.returncode == 0
    assert not lab.left()
    assert not Path(f"/proc/{janitor}").exists()


@pytest.mark.parametrize("lab", ["keep"], indirect=True)
def test_what_is_kept_stays(lab: DyingLab) -> None:
    """A kept stack outlives even the kill of its lab; it goes when it is swept."""
    janitor = int(lab.says("janitor"))
    lab.says("kept")
    lab.kill()
    wait_until(lambda: not _alive(janitor), timeout_s=LIMIT_S, every_s=0.1)
    assert len(lab.left()) == 8
    sweep_run(lab.run)
    assert not lab.left()


@pytest.mark.parametrize("lab", ["up"], indirect=True)
def test_nothing_without_the_label_is_touched(lab: DyingLab) -> None:
    """A container and a network of somebody else, whatever they are called, stay."""
    name = f"lab-{lab.run}-stranger"
    image = "debian:trixie-slim"
    subprocess.run(["docker", "network", "create", name], check=True, capture_output=True)
    try:
        argv = ["docker", "create", "--name", name, "--network", name, "--label", "lab.dev=test", image, "true"]
        subprocess.run(argv, check=True, capture_output=True)
        lab.says("up")
        lab.gone_since(lab.kill())
        subprocess.run(["docker", "inspect", name], check=True, capture_output=True)
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)
        subprocess.run(["docker", "network", "rm", name], check=True, capture_output=True)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # nobody may be there to take leave of it
