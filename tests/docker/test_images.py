"""The images on a real engine: what is in them, how a build fails, and that a dead lab leaves no build behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.cluster import build, doctor, images
from lab.errors import ImageFailed
from lab.protocols import Fields
from lab.wait import wait_until

pytestmark = pytest.mark.docker

LABEL = "lab.test=images"


def ignore(_: Fields) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def built() -> dict[str, str]:
    """Every image of the lab that `lab images` builds."""
    return images.ensure(images.standard(), ignore)


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True, timeout=60)


def inside(image: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in a new container of an image, with a packet filter of its own."""
    words = ("run", "--rm", "--label", LABEL, "--network", "none", "--cap-add", "NET_ADMIN")
    return docker(*words, "--entrypoint", command[0], image, *command[1:])


def test_what_is_there_is_not_built_again(built: dict[str, str]) -> None:
    """A second call reports no build, and every image is there under its tag and as latest."""
    reports: list[Fields] = []
    assert images.ensure(images.standard(), reports.append) == built
    assert reports == []
    for image in images.status():
        assert image.present or image.name not in built
        assert image.size_bytes < 400e6
    for name, full in built.items():
        ids = {docker("image", "inspect", "-f", "{{.Id}}", it).stdout for it in (full, f"boring-lab/{name}:latest")}
        assert len(ids) == 1


def test_the_entry_of_inside_names_its_commands(built: dict[str, str]) -> None:
    """`docker run boring-lab/inside nonsense` says what there is."""
    done = docker("run", "--rm", "--label", LABEL, built["inside"], "nonsense")
    assert done.returncode == 1
    assert "agent, service, registrar, observer, clients, scripted" in done.stderr


def test_inside_has_what_the_lab_runs_there(built: dict[str, str]) -> None:
    """Every library imports, the lab's code is compiled, and a packet rule can be set."""
    code = (
        "import locust, gevent, geventhttpclient, dns.update, kazoo.client, orjson, lab.history, lab.inside.__main__;"
        "print(lab.history.__cached__, locust.__version__)"
    )
    done = inside(built["inside"], "/opt/venv/bin/python3", "-c", code)
    assert done.returncode == 0, done.stderr
    cached, version = done.stdout.split()
    assert version == "2.47.0"
    assert inside(built["inside"], "test", "-s", cached).returncode == 0
    rules = "*filter\n-A INPUT ! -i lo -j DROP\nCOMMIT\n"
    done = inside(built["inside"], "sh", "-c", f"printf '{rules}' | iptables-restore --noflush && iptables -S INPUT")
    assert "DROP" in done.stdout, done.stderr


def test_dns_has_both_servers(built: dict[str, str]) -> None:
    """BIND 9 and Unbound."""
    assert "BIND 9." in inside(built["dns"], "named", "-v").stdout
    assert "Version 1." in inside(built["dns"], "unbound", "-V").stdout


def test_zookeeper_takes_its_archive_of_classes(built: dict[str, str]) -> None:
    """A server's classes come from the training run's archive: that is half of its start time."""
    java = "/opt/jre/bin/java -XX:+UseSerialGC -XX:SharedArchiveFile=/opt/zk/zk.jsa -Xlog:class+load -cp /opt/zk/zk.jar"
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain /none.cfg"
    done = inside(built["zookeeper"], "sh", "-c", f"{java} {main}")
    assert "QuorumPeerMain source: shared objects file (top)" in done.stdout


def test_the_doctor_is_content(built: dict[str, str]) -> None:
    """With engine and images everything is looked at, packets and clock from inside a container."""
    checks = {check.name: check for check in doctor.checks()}
    assert set(checks) == {"engine", "compose", "images", "cores", "memory", "disk", "packets", "clock"}
    assert checks["packets"].ok, checks["packets"]
    assert checks["clock"].ok, checks["clock"]
    there = int(checks["images"].found.partition(" of ")[0])
    assert len(built) <= there <= len(images.RECIPES)
    assert checks["images"].mend == ""


@pytest.fixture
def draft(built: dict[str, str]) -> Iterator[images.Draft]:
    """An image of this test, whose build runs what the test says; its containers carry the test's own label."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield images.Draft(replace(images.RECIPES["dns"], name=name), f"boring-lab/{name}:0", built["base"], {})
    docker("rmi", "-f", f"boring-lab/{name}:0", f"boring-lab/{name}:latest")


def dockerfile(draft: images.Draft, command: str) -> images.Draft:
    text = f"ARG PARENT\nFROM ${{PARENT}}\nLABEL lab.test={draft.recipe.name}\nRUN {command}\n"
    return replace(draft, files={"Dockerfile": text.encode()})


def test_a_failed_build_says_where_and_why(draft: images.Draft) -> None:
    """The step, and the last 15 lines of what it said."""
    with pytest.raises(ImageFailed) as told:
        build.build([dockerfile(draft, "seq 100 130; echo cause >&2; exit 3")], ignore)
    lines = str(told.value).splitlines()
    assert lines[0].startswith(f"image {draft.recipe.name} could not be built, it failed at: Step 4/")
    assert "RUN seq 100" in lines[0]
    assert len(lines) == 16
    assert any("cause" in line for line in lines)
    assert any("130" in line for line in lines)
    assert not any("100" in line for line in lines[1:-1])


def test_a_full_disk_is_told_in_words(draft: images.Draft) -> None:
    """Not as a riddle of apt's."""
    with pytest.raises(ImageFailed, match=r"no disk space left in /.* are free\)\nmend: free about 2 GB"):
        build.build([dockerfile(draft, "echo 'write: No space left on device' >&2; exit 1")], ignore)


SLOW = """
from dataclasses import replace
from lab.cluster import build, images
recipe = replace(images.RECIPES["dns"], name={name!r})
files = {{"Dockerfile": {text!r}}}
build.build([images.Draft(recipe, "boring-lab/{name}:0", {parent!r}, files)], lambda fields: print(fields, flush=True))
"""


def test_kill_9_of_the_lab_ends_its_build(draft: images.Draft) -> None:
    """The step's container is gone within 10 s of the lab's death, and no image has come of it."""
    name = draft.recipe.name
    slow = dockerfile(draft, "sleep 300")
    code = SLOW.format(name=name, text=slow.files["Dockerfile"], parent=draft.parent)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as child:
        containers = ("ps", "-aq", "--filter", f"label=lab.test={name}")
        try:
            wait_until(lambda: docker(*containers).stdout, timeout_s=30, message="the build's step did not begin")
        finally:
            child.send_signal(signal.SIGKILL)
    wait_until(lambda: not docker(*containers).stdout, timeout_s=10, message="the step's container is still there")
    assert docker("image", "inspect", f"boring-lab/{name}:0").returncode != 0


BOOTSTRAP = """
from lab.cluster import debian
debian._bootstrap()
"""


def test_kill_9_of_the_lab_ends_its_bootstrap(tmp_path: Path) -> None:
    """Neither mmdebstrap nor its folder is left 10 s after the lab's death."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    if subprocess.run(["sh", "-c", "command -v mmdebstrap"], check=False, capture_output=True).returncode:
        pytest.skip("mmdebstrap is not installed")
    with subprocess.Popen([sys.executable, "-c", BOOTSTRAP], env=environment) as child:
        try:
            wait_until(lambda: list(tmp_path.glob("*/mmdebstrap.*/*")), timeout_s=30, message="it did not begin")
        finally:
            child.send_signal(signal.SIGKILL)

    def left() -> list[str]:
        processes = subprocess.run(["ps", "-eo", "pid,args"], check=True, capture_output=True, text=True).stdout
        return [*map(str, tmp_path.iterdir()), *(line for line in processes.splitlines() if str(tmp_path) in line)]

    wait_until(lambda: not left(), timeout_s=10, message=lambda: f"left: {left()}")


def test_images_travel_in_a_file(built: dict[str, str], tmp_path: Path) -> None:
    """What --save wrote, --load takes in: between CI jobs nothing is built."""
    file = tmp_path / "images.tar"
    saved = images.save(file)
    assert set(built.values()) <= set(saved)
    assert images.load(file) == saved
