"""The image that everything stands on: debian:trixie-slim, pulled where a pull works, else made with mmdebstrap."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections import deque

import docker
import requests
from docker.errors import DockerException, ImageNotFound

from lab.errors import ImageFailed

NAME = "debian"
TAG = "trixie-slim"
SUITE = "trixie"
PULL_S = 20.0
"""How long a registry may be silent."""

# The bootstrap ends with its input: when the lab dies, its pipe closes, and neither process nor folder stays.
# As root mmdebstrap has a process namespace of its own, so that one kill ends all that it started.
_BOOTSTRAP = rf"""
exec 3<&0
folder=$(mktemp -d) || exit 1
own=
[ "$(id -u)" != 0 ] || own="unshare --pid --fork --kill-child --mount-proc"
TMPDIR=$folder $own mmdebstrap --quiet --variant=minbase {SUITE} "$folder/base.tar" "$@" </dev/null 3<&- &
worker=$!
{{ read -r _
  kill -KILL $worker
  for again in 1 2 3 4 5; do rm -rf --one-file-system "$folder" && break; sleep 0.3; done
  kill -KILL -- -$$
}} <&3 >/dev/null 2>&1 &
guard=$!
exec 3<&-
wait $worker && docker import -c 'CMD ["bash"]' "$folder/base.tar" {NAME}:{TAG} </dev/null
code=$?
kill $guard
rm -rf --one-file-system "$folder"
exit $code
"""


def ensure(client: docker.DockerClient, *, fresh: bool = False) -> None:
    """See to it that the engine has debian:trixie-slim; `fresh` asks the registry for a newer one first.

    Raises ImageFailed, with the mend, when it can be neither pulled nor made.
    """
    there = _there(client)
    if there and not fresh:
        return
    refused = _pull(client)
    if refused is None or there:
        return
    if shutil.which("mmdebstrap") is None and not _install():
        raise ImageFailed(
            f"{NAME}:{TAG} could not be pulled ({refused}), and mmdebstrap is not here to make it\n"
            f"mend: `apt-get install mmdebstrap` (Debian-like), or `docker load` an image saved elsewhere "
            f"with `docker save {NAME}:{TAG}`"
        )
    _bootstrap()


def _there(client: docker.DockerClient) -> bool:
    try:
        client.images.get(f"{NAME}:{TAG}")
    except ImageNotFound:
        return False
    return True


def _pull(client: docker.DockerClient) -> str | None:
    """None when it was pulled, else why not. A registry that is silent for PULL_S is none."""
    try:
        # Not the SDK's own pull(): that waits for ever.
        with client.api.post(
            f"{client.api.base_url}/images/create",
            params={"fromImage": NAME, "tag": TAG},
            stream=True,
            timeout=PULL_S,
        ) as answer:
            said = [dict(json.loads(line)) for line in answer.iter_lines() if line]
        refusals = [line.get("error") or line.get("message") for line in said]
        return next((str(why) for why in refusals if why), None if answer.ok else f"status {answer.status_code}")
    except (DockerException, requests.RequestException, ValueError) as error:
        return str(error)


def _install() -> bool:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in ("update -qq", "install -qq -y --no-install-recommends mmdebstrap"):
        subprocess.run(["apt-get", *words.split()], check=False, env=environment, capture_output=True)
    return shutil.which("mmdebstrap") is not None


def _sources() -> list[str]:
    """apt lines of trixie on the mirrors that this machine uses itself; empty where it is no Debian: the default."""
    try:
        codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(CODENAME)", "Identifier: Packages"],
            check=False,
            capture_output=True,
            text=True,
        ).stdout
    except (OSError, KeyError):
        return []
    sources = []
    for words in map(str.split, listed.splitlines()):
        if len(words) == 3 and words[0] == "Debian" and words[2].startswith(codename):
            sources.append(f"deb {words[1]} {words[2].replace(codename, SUITE)} main")
    return list(dict.fromkeys(sources))


def _bootstrap() -> None:
    with subprocess.Popen(
        ["sh", "-c", _BOOTSTRAP, "bootstrap", *_sources()],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stderr is not None
        tail = deque(child.stderr, maxlen=15)
    if child.returncode:
        last = "".join(f"    {line}" for line in tail).rstrip()
        raise ImageFailed(f"{NAME}:{TAG} could neither be pulled nor made with mmdebstrap:\n{last}")
