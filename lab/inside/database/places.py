"""Where things lie in the server's container, and whose they are."""

from __future__ import annotations

import os
from pathlib import Path
from pwd import getpwnam
from shutil import chown

DATA = Path("/var/lib/postgresql/lab")
BAKED = Path("/baked/data")
WIPED = Path("/var/lib/postgresql/wiped")
"""What was the data directory: no server starts from it, but most of its files are as they were baked."""
SOCKETS = Path("/run/postgresql")
"""The server's unix socket, on which the supervisor looks at it."""
PRIVATE = Path("/run/lab-private")
"""The socket of a server that is started for itself alone, so that its rows can be read: nobody else finds it."""
BIN = Path("/usr/lib/postgresql/17/bin")
SHARED_MEMORY = Path("/dev/shm")

PORT = 5432
LINK = "toxiproxy"
LINK_PORT = 15431
"""Where the link's proxy listens for the standbys of postgres1."""
USER = "postgres"

ENVIRONMENT = {
    "HOME": "/var/lib/postgresql",
    "LANG": "C.UTF-8",
    "PATH": f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
"""What children get: the lab's own PYTHONPATH would lead Debian's Patroni astray."""


def make_folders() -> None:
    """The folders of sockets, and the data directory's parent, as the server needs them."""
    for folder in (SOCKETS, PRIVATE, DATA.parent):
        folder.mkdir(parents=True, exist_ok=True)
        chown(folder, USER, USER)


def server_processes() -> list[int]:
    """Every live process of the server's user, whoever is its parent: the PID namespace is the whole pod's.

    A server whose manager was killed is nobody's child any more, so children alone would not do.
    """
    owner = getpwnam(USER).pw_uid
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and _lives(int(name), owner)]  # noqa: PTH208


def _lives(pid: int, owner: int) -> bool:
    folder = Path(f"/proc/{pid}")
    try:
        # A zombie's files are closed: whoever is to reap it may take his time.
        return folder.stat().st_uid == owner and b") Z" not in (folder / "stat").read_bytes()
    except OSError:
        return False
