"""The engine dies, or hangs, in the middle: the lab says so soon, and what is left goes once the engine answers."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cluster import DockerCluster, images
from lab.cluster.sweep import clean, runs
from lab.errors import EngineLost, EngineMissing, LabError
from lab.wait import wait_until
from tests.docker.conftest import PAIR

pytestmark = [
    pytest.mark.docker,
    # The SDK leaves the socket that was refused to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("dockerd"), reason="a second engine needs root and dockerd"
    ),
]

SOON_S = 15.0


class SecondEngine:
    """A dockerd of the test's own, in a network namespace of its own: its bridges and rules end with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self.start()

    def start(self) -> None:
        containerd = self._folder / "run" / "containerd" / "containerd.pid"
        if containerd.exists():
            # It dies with its dockerd, but the next dockerd looks only whether there is such a pid, dying or not.
            wait_until(lambda: not _alive(int(containerd.read_text())), timeout_s=20)
            containerd.unlink(missing_ok=True)
        for file in ("pid", "docker.sock"):
            (self._folder / file).unlink(missing_ok=True)
        place = ["--data-root", f"{self._folder}/lib", "--exec-root", f"{self._folder}/run"]
        argv = ["unshare", "--net", "dockerd", *place, "--pidfile", f"{self._folder}/pid", "-H", self.host]
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._answers, timeout_s=60, every_s=0.2, message=lambda: (self._folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """End its containers, itself and its mounts."""
        self.process.send_signal(signal.SIGCONT)
        if self.process.poll() is not None:
            self.start()
        docker = ["docker", "-H", self.host]
        left = subprocess.run([*docker, "ps", "-aq"], capture_output=True, text=True, check=False, timeout=30)
        for container in left.stdout.split():
            subprocess.run([*docker, "rm", "-f", container], capture_output=True, check=False, timeout=30)
        self.process.terminate()
        self.process.wait(30)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{self._folder}/")]):
            subprocess.run(["umount", mount], check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        argv = ["docker", "-H", self.host, "info"]
        return subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0


@pytest.fixture(scope="module")
def engine() -> Iterator[SecondEngine]:
    """The second engine, with the image that the pair needs."""
    (tag,) = images.ensure(["inside"], lambda _: None).values()
    second = SecondEngine(Path(tempfile.mkdtemp(prefix="boring-lab-engine-")))
    try:
        load = ["docker", "-H", second.host, "load", "-q"]
        with subprocess.Popen(["docker", "save", tag], stdout=subprocess.PIPE) as saved:
            subprocess.run(load, stdin=saved.stdout, check=True, capture_output=True)
        yield second
    finally:
        second.end()


@pytest.fixture
def cluster(engine: SecondEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerCluster]:
    """A cluster on the second engine."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    door = DockerCluster(progress=lambda _: None)
    yield door
    door.close()
    gc.collect()  # here, where what it finds is expected


def lost_soon(cluster: DockerCluster) -> None:
    """Commands fail with EngineLost, soon the first and at once the next, and so does taking down."""
    (stack,) = cluster._stacks.values()
    begun = time.monotonic()

    def lost() -> bool:
        try:
            stack.pods["server1"].tell("ping")
        except EngineLost:
            return True
        return False

    wait_until(lost, timeout_s=SOON_S)
    assert time.monotonic() - begun < SOON_S
    begun = time.monotonic()
    for attempt in (stack.pods["server2"].server_running, lambda: cluster.down(stack)):
        with pytest.raises(EngineLost):
            attempt()
    cluster.close()
    assert time.monotonic() - begun < 1.0


def nothing_left() -> bool:
    clean()  # the janitor may have been faster, and holds the run's lock while it sweeps
    return not runs()


def test_killed(engine: SecondEngine, cluster: DockerCluster) -> None:
    """kill -9 of the engine; once it is back, `lab clean` (or the janitor, which waits a while) removes the rest."""
    cluster.up("pair", [PAIR], {})
    engine.kill()
    lost_soon(cluster)
    with pytest.raises(EngineMissing, match="no Docker engine answers"):
        DockerCluster(progress=lambda _: None)
    engine.start()
    wait_until(nothing_left, timeout_s=60, every_s=0.5)


def test_hanging(engine: SecondEngine, cluster: DockerCluster) -> None:
    """An engine that accepts and never answers is as lost as a dead one."""
    cluster.up("pair", [PAIR], {})
    engine.process.send_signal(signal.SIGSTOP)
    try:
        lost_soon(cluster)
    finally:
        engine.process.send_signal(signal.SIGCONT)
    wait_until(nothing_left, timeout_s=60, every_s=0.5)


def test_lost_while_a_stack_comes_up(engine: SecondEngine, cluster: DockerCluster) -> None:
    """Whatever it was that failed, it is a LabError, and soon."""
    engine.kill()
    begun = time.monotonic()
    with pytest.raises(LabError):
        cluster.up("pair", [PAIR], {})
    assert time.monotonic() - begun < SOON_S
    engine.start()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
