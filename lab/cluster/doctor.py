"""Looks over the machine: what the lab needs, what was found, and the exact mend. Never raises for what it finds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException, ImageNotFound

from lab import clock
from lab.cluster import bringup, images
from lab.cluster.connection import connect
from lab.errors import EngineMissing, LabError

CORES = 2
MEMORY_GB = 2.0
DISK_GB = 4.0
"""Half of it is what the images' builds leave behind for the next build."""
FIX = "lab doctor --fix"

# In a container with a packet filter of its own: can a rule be set, and which clock is this?
_PROBE = r"""
import subprocess, time
print("boot", open("/proc/sys/kernel/random/boot_id").read().strip())
print("now_ns", time.monotonic_ns())
rule = subprocess.run(["iptables", "-A", "INPUT", "!", "-i", "lo", "-j", "DROP"], capture_output=True, text=True)
print("rule", rule.returncode, rule.stderr.strip())
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `mend` is a command where there is one; empty when nothing is to be done."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def checks() -> list[Check]:
    """Everything that the lab needs, in the order in which to mend it. Takes about a second; needs no engine."""
    try:
        client = connect(10)
    except EngineMissing as error:
        reason = str(error).splitlines()[0]
        unknown = Check("images", False, "not known without an engine", FIX)
        return [Check("engine", False, reason, FIX), _compose(), unknown, *_machine({})]
    with closing(client):
        try:
            info = dict(client.info())
            return [_engine(info), _compose(), _images(), *_machine(info), *_inside(client)]
        except (DockerException, requests.RequestException) as error:
            return [Check("engine", False, f"it answers, and then fails: {error}", "restart the engine"), _compose()]


def _engine(info: dict[str, Any]) -> Check:
    found = (
        f"Docker {info.get('ServerVersion', '?')} on {info.get('OperatingSystem', '?')}, "
        f"{info.get('Driver', '?')}, cgroup v{info.get('CgroupVersion', '1')}"
    )
    linux = info.get("OSType", "linux") == "linux"
    return Check("engine", linux, found, "" if linux else "switch the engine to Linux containers")


def _compose() -> Check:
    version = bringup.compose_version()
    if version is None:
        return Check("compose", False, "`docker compose` is missing or older than version 2", FIX)
    return Check("compose", True, f"Docker Compose {version}")


def _images() -> Check:
    try:
        known = images.status()
    except LabError as error:
        return Check("images", False, str(error).splitlines()[0], "lab images")
    sizes = {image.name: image.size_bytes for image in known if image.present}
    # An image's size holds its parent's: layers are shared.
    own = [size - sizes.get(images.RECIPES[name].parent or "", 0) for name, size in sizes.items()]
    found = f"{len(sizes)} of {len(known)} there, {sum(own) / 1e6:.0f} MB"
    missing = [image.name for image in known if not image.present]
    if missing:
        found += f"; built when first needed: {', '.join(missing)}"
    return Check("images", True, found, "lab images" if set(missing) & set(images.standard()) else "")


def _machine(info: dict[str, Any]) -> Iterator[Check]:
    """Memory, cores and disk: the engine's where it tells, else this machine's."""
    cores = int(info.get("NCPU") or os.cpu_count() or 0)
    yield Check("cores", cores >= CORES, f"{cores}", "" if cores >= CORES else f"give the engine {CORES} cores")
    total = float(info.get("MemTotal") or _local_memory("MemTotal"))
    local = info.get("Name", os.uname().nodename) == os.uname().nodename
    available = _local_memory("MemAvailable") if local else 0.0
    enough = total >= MEMORY_GB * 1e9 and (not available or available >= MEMORY_GB * 1e9 / 2)
    found = f"{total / 1e9:.1f} GB" + (f", {available / 1e9:.1f} GB available" if available else "")
    mend = "" if enough else f"give the engine {MEMORY_GB:g} GB, half of it free (16 backends and 300 clients: 4 GB)"
    yield Check("memory", enough, found, mend)
    root = Path(str(info.get("DockerRootDir", "/")))
    if local and root.exists():
        free = shutil.disk_usage(root).free / 1e9
        mend = "" if free >= DISK_GB else f"free {DISK_GB:g} GB, e.g. with `docker image prune`"
        yield Check("disk", free >= DISK_GB, f"{free:.1f} GB free at {root}", mend)
    else:
        yield Check("disk", True, f"{root} is on the engine's machine: not looked at")


def _inside(client: docker.DockerClient) -> Iterator[Check]:
    """What only a container can tell: whether packets can be dropped, and on which clock it runs."""
    image = images.reference("inside")
    try:
        client.images.get(image)
        before_ns = clock.now_ns()
        output = _probe(client, image)
        after_ns = clock.now_ns()
    except ImageNotFound:
        yield Check("packets", True, "not tried before image inside is built", "lab images")
        return
    except (DockerException, requests.RequestException) as error:
        yield Check("packets", False, f"a container with NET_ADMIN does not run: {error}", "use a rootful engine")
        return
    said = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    code, _, why = said.get("rule", "1 no answer").partition(" ")
    mend = "" if code == "0" else "modprobe nf_tables (as root, on the engine's machine)"
    yield Check("packets", code == "0", "packets can be dropped" if code == "0" else f"iptables: {why}", mend)
    if said.get("boot") != clock.boot_id():
        yield Check("clock", True, "the engine's machine is another one; stamps are taken there")
        return
    same = before_ns <= int(said.get("now_ns", 0)) <= after_ns
    found = "containers share this machine's monotonic clock" if same else "containers have a clock of their own"
    yield Check("clock", same, found, "" if same else "use an engine without time namespaces (runc)")


def _probe(client: docker.DockerClient, image: str) -> str:
    container = client.containers.create(
        image,
        ["-c", _PROBE],
        entrypoint="/opt/venv/bin/python3",
        cap_add=["NET_ADMIN"],
        network_mode="none",
        labels={"lab.run": "doctor"},
    )
    try:
        container.start()
        container.wait(timeout=20)
        return container.logs(stderr=False).decode(errors="replace")
    finally:
        container.remove(force=True)


def _local_memory(field: str) -> float:
    """Bytes, from /proc/meminfo; 0 where there is none."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024.0 * int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])
    return 0.0
