"""Who is where, seen from inside a container: own name, and the addresses of numbered nodes.

In a pod every node's plain name stands in /etc/hosts. By hand (`docker compose -f compose/... up`) replicas have no
such names; there the engine's DNS tells all addresses of the service, and they are numbered in order of address.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path


def own_name() -> str:
    """This node's name."""
    return os.environ.get("LAB_NODE") or socket.gethostname()


def own_address() -> str:
    """This node's address in the stack's network."""
    return os.environ.get("LAB_ADDRESS") or socket.gethostbyname(socket.gethostname())


def events_folder() -> Path:
    """Where events go; made where nobody mounted it."""
    folder = Path(os.environ.get("LAB_EVENTS") or "/lab/events")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def addresses_of(name: str) -> list[str]:
    """IPv4 addresses of a name, in order; empty when it is not known."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(name, None, socket.AF_INET)}
    except OSError:
        return []
    return sorted(found, key=ipaddress.IPv4Address)


def address_in_pod(name: str) -> str:
    """The address of a node of the stack, from /etc/hosts alone; empty where the stack has no such node.

    The engine's DNS takes 10 s to say that it does not know a name.
    """
    lines = Path("/etc/hosts").read_text().splitlines()
    found = (line.partition("#")[0].split() for line in lines)
    return next((words[0] for words in found if name in words[1:]), "")


def address_of(name: str, limit_s: float = 30.0) -> str:
    """The address of a name; by hand its container may not run yet, so it is waited for. Raises OSError."""
    return _wait_for(name, 1, limit_s)[0]


def numbered(role: str, count: int, limit_s: float = 30.0) -> dict[str, str]:
    """Addresses of role1 to roleN by name. Raises OSError when they are not all known after `limit_s`."""
    names = [f"{role}{number}" for number in range(1, count + 1)]
    if os.environ.get("LAB_NODE"):
        return {name: address_of(name, limit_s) for name in names}
    # Not tried by name first: the engine's DNS takes 10 s to say that it does not know one.
    return dict(zip(names, _wait_for(role, count, limit_s), strict=False))


def _wait_for(name: str, count: int, limit_s: float) -> Sequence[str]:
    deadline = time.monotonic() + limit_s
    while len(found := addresses_of(name)) < count:
        if time.monotonic() > deadline:
            raise OSError(f"{name}: {len(found)} of {count} addresses known after {limit_s:g} s")
        time.sleep(0.1)
    return found
