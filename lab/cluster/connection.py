"""The connection to the Docker engine: the one that the `docker` command would use."""

from __future__ import annotations

import os
from contextlib import suppress

import docker
import requests
from docker.context import ContextAPI
from docker.errors import DockerException

from lab.errors import EngineMissing

MEND = (
    "mend: `lab doctor --fix` (Debian-like, as root) installs and starts one; or start it, or set DOCKER_HOST; "
    "where it runs and refuses you: `sudo usermod -aG docker $USER`, then log in again"
)


def connect(timeout_s: float = 60.0) -> docker.DockerClient:
    """A client whose engine has just answered. DOCKER_HOST goes first, then the current `docker context`.

    `timeout_s` is how long one answer may be silent. Raises EngineMissing, with the mend, where no engine answers.
    A client is not safe for several threads: each connects for itself.
    """
    try:
        client = _open(timeout_s)
        client.ping()
    except (DockerException, requests.RequestException, OSError) as error:
        raise EngineMissing(f"no Docker engine answers at {_address()}: {_reason(error)}\n{MEND}") from error
    return client


def _open(timeout_s: float) -> docker.DockerClient:
    # The SDK's timeout is declared as whole seconds, and it takes the context only when told.
    seconds = max(1, round(timeout_s))
    if not os.environ.get("DOCKER_HOST"):
        context = ContextAPI.get_current_context()
        if context.Name != "default":
            return docker.DockerClient(base_url=context.Host, tls=context.TLSConfig or False, timeout=seconds)
    return docker.from_env(timeout=seconds)


def _address() -> str:
    with suppress(DockerException):
        return os.environ.get("DOCKER_HOST") or str(ContextAPI.get_current_context().Host)
    return "its usual place"


def _reason(error: BaseException) -> str:
    """The innermost cause in one line: the SDK wraps a refused socket four times."""
    while (inner := error.__cause__ or error.__context__) is not None and str(inner):
        error = inner
    return " ".join(str(error).split()) or type(error).__name__
