"""Gets a machine ready: a Docker engine that answers, and Compose v2.

Looks only, unless told to install; then it installs and starts on Debian and its like, as root, and says each step.
Everywhere else it raises with the exact commands.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

import docker
import requests
from docker.errors import BuildError, DockerException

from lab.cluster import debian
from lab.cluster.connection import connect
from lab.errors import EngineMissing
from lab.wait import TimedOut, wait_until

Say = Callable[[str], None]

START_S = 30.0
LOG = Path("/var/log/boring-lab-dockerd.log")
PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}
"""Where each daemon keeps its number."""
COMPOSE_PACKAGES = ("docker-compose-v2", "docker-compose-plugin", "docker-compose")
"""Where Compose v2 is found: Ubuntu, Docker's own packages, Debian 13 (Debian 12's of that name is version 1)."""
_PLUGIN = "/usr/libexec/docker/cli-plugins/docker-compose"
_PLUGIN_IMAGE = f"""\
FROM {debian.NAME}:{debian.TAG} AS build
LABEL lab.image=compose
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends docker-compose
FROM scratch
LABEL lab.image=compose
COPY --from=build {_PLUGIN} /docker-compose
"""


def ensure_engine(say: Say, *, install: bool = False) -> None:
    """Return when an engine answers and `docker compose` is version 2 or newer.

    With `install` it sees to both, telling `say` a sentence a step. Raises EngineMissing with the exact mend.
    """
    try:
        connect(5).close()
    except EngineMissing:
        if not install or os.environ.get("DOCKER_HOST"):
            raise  # an engine that somebody chose is not replaced by another
        _bring_up_engine(say)
    if compose_version() is None:
        if not install:
            raise EngineMissing(
                "`docker compose` (version 2 or newer) is missing\n"
                "mend: `lab doctor --fix`; or by hand as root: `apt-get install docker-compose` (Debian 13 and newer), "
                "`apt-get install docker-compose-v2` (Ubuntu)"
            )
        _bring_up_compose(say)


def compose_version() -> str | None:
    """The version that `docker compose` says, e.g. "2.26.1"; None where it is missing or older than 2."""
    try:
        answer = subprocess.run(
            ["docker", "compose", "version", "--short"], check=False, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = answer.stdout.strip().removeprefix("v")
    return version if answer.returncode == 0 and _major(version) >= 2 else None


def start_engine(options: Sequence[str] = (), log: Path = LOG) -> subprocess.Popen[bytes]:
    """Start dockerd in a session of its own, so that it outlives the lab; returns without waiting for it."""
    with log.open("ab") as out:
        return subprocess.Popen(
            ["dockerd", *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


def forget_dead(pid_files: Mapping[Path, str]) -> None:
    """Remove what a killed daemon left: its number may be another process by now, and then none would start."""
    for path, command in pid_files.items():
        with suppress(OSError, ValueError):
            number = int(path.read_text())
            process = Path("/proc") / str(number) / "comm"
            if not process.exists() or process.read_text().strip() != command:
                path.unlink()


def _bring_up_engine(say: Say) -> None:
    if not _can_install():
        raise EngineMissing(
            "no Docker engine answers, and only root on Debian or its like can have one installed\n"
            "mend, as root: `apt-get install docker.io docker-compose` (Debian 13), "
            "`apt-get install docker.io docker-compose-v2` (Ubuntu), then `systemctl start docker`;\n"
            "where one runs already: `usermod -aG docker $USER`, then log in again"
        )
    wanted = {"dockerd": "docker.io", "iptables": "iptables", "ip": "iproute2", "mmdebstrap": "mmdebstrap"}
    lacking = [package for command, package in wanted.items() if shutil.which(command) is None]
    if lacking:
        say(f"no Docker engine here: installing {', '.join(lacking)} (at most 2 min)")
        _apt(*lacking)
    if shutil.which("docker") is None:  # a package of its own since Debian 13
        _apt("docker-cli")
    if _answers():
        return  # a package that was just installed may have started it
    say(f"no Docker engine answers: starting dockerd (at most {START_S:g} s, its log is {LOG})")
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], check=False, capture_output=True)
        daemon = None
    else:
        forget_dead(PID_FILES)
        daemon = start_engine()
    try:
        wait_until(
            lambda: _answers() or (daemon is not None and daemon.poll() is not None),
            timeout_s=START_S,
            every_s=0.2,
            message="dockerd did not answer",
        )
    except TimedOut as error:
        raise EngineMissing(f"{error}\n{_last_lines(LOG)}") from error
    if not _answers():
        raise EngineMissing(f"dockerd ended at once; the end of {LOG}:\n{_last_lines(LOG)}")


def _bring_up_compose(say: Say) -> None:
    if _can_install():
        for package in COMPOSE_PACKAGES:
            if _major(_candidate(package)) >= 2:
                say(f"`docker compose` is missing: installing {package} (at most 1 min)")
                _apt(package)
                if compose_version() is not None:
                    return
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
    say(f"`docker compose` is missing: taking it from Debian 13's package into {folder} (at most 1 min)")
    with closing(connect()) as client:
        debian.ensure(client)
        binary = _plugin(client)
    target = folder / "docker-compose"
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(binary)
    part.chmod(0o755)
    part.replace(target)
    if compose_version() is None:
        target.unlink()
        raise EngineMissing(
            "Debian's `docker compose` does not run on this machine\n"
            "mend: install Compose v2 as Docker's manual says for this system; `docker compose version` must answer"
        )


def _plugin(client: docker.DockerClient) -> bytes:
    # By a build, not by a container that runs apt: a build ends with its caller.
    try:
        image, _ = client.images.build(fileobj=io.BytesIO(_PLUGIN_IMAGE.encode()), rm=True, forcerm=True, timeout=300)
        container = client.containers.create(image, "never-started", labels={"lab.run": "bringup"})
        try:
            chunks, _ = container.get_archive("/docker-compose")
            packed = io.BytesIO(b"".join(chunks))
        finally:
            container.remove(force=True)
            with suppress(DockerException):  # 400 MB that nobody needs again
                for layers in client.images.list(filters={"label": "lab.image=compose"}):
                    client.images.remove(str(layers.id), force=True)
    except BuildError as error:
        lines = [str(cast("dict[str, Any]", line).get("stream", "")).rstrip() for line in error.build_log]
        tail = "\n".join(f"    {line}" for line in lines[-15:] if line)
        raise EngineMissing(f"`docker compose` could not be taken from Debian 13's package:\n{tail}") from error
    except (DockerException, requests.RequestException) as error:
        raise EngineMissing(f"`docker compose` could not be taken from Debian 13's package: {error}") from error
    with tarfile.open(fileobj=packed) as tar:
        file = tar.extractfile("docker-compose")
        assert file is not None
        return file.read()


def _can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _answers() -> bool:
    try:
        connect(2).close()
    except EngineMissing:
        return False
    return True


def _apt(*packages: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = None
    for words in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
        # `update` may fail for one odd source of the machine: the installation tells whether that matters.
        done = subprocess.run(
            ["apt-get", *words], check=False, capture_output=True, text=True, errors="replace", env=environment
        )
    if done is not None and done.returncode:
        tail = "\n".join(f"    {line}" for line in (done.stdout + done.stderr).splitlines()[-15:])
        raise EngineMissing(f"apt-get could not install {', '.join(packages)}:\n{tail}")


def _candidate(package: str) -> str:
    """The version that apt would install; empty where it knows none."""
    answer = subprocess.run(["apt-cache", "policy", package], check=False, capture_output=True, text=True).stdout
    return next((line.split()[1] for line in answer.splitlines() if line.strip().startswith("Candidate: ")), "")


def _major(version: str) -> int:
    digits = version.rpartition(":")[2].split(".")[0]
    return int(digits) if digits.isdigit() else 0


def _last_lines(log: Path) -> str:
    with suppress(OSError):
        return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-15:])
    return f"    ({log} cannot be read)"
