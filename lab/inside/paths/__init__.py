"""How a client of a database finds the primary: one file a kind, each made for one route and kept in its own greenlet.

A path says where a new connection goes to; connections that are open stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from random import Random
from typing import Any, NamedTuple, Protocol

KINDS = ("dns", "haproxy", "multi_host", "zookeeper")


class Unknown(Exception):
    """Nobody knows at present where to connect to; the message says why."""


class Target(NamedTuple):
    """Where a new connection goes to."""

    hosts: tuple[tuple[str, str], ...]
    """(name, address) of each, in the order in which they are tried."""
    port: int
    read_write: bool = False
    """Whether a server that takes no writes is passed over (target_session_attrs=read-write)."""

    def conninfo(self, host: tuple[str, str], **more: object) -> str:
        """One of the hosts as libpq takes it. Its address is given beside its name: nobody has to resolve it."""
        name, address = host
        only = {"target_session_attrs": "read-write"} if self.read_write else {}
        parts = {"host": name, "hostaddr": address, "port": self.port, **only, **more}
        return " ".join(f"{name}='{value}'" for name, value in parts.items())


class Path(Protocol):
    """Where new connections of one route go to."""

    def run(self) -> None:
        """Keep learning, for ever; ends when its greenlet is killed, or by an error (it is made and run again then)."""
        ...

    def target(self) -> Target:
        """Where a connection that begins now goes to. Raises Unknown."""
        ...

    def close(self) -> None:
        """Let go of sockets and sessions; run() is over by then."""
        ...


Learned = Callable[[str | None], None]
"""Called with the node that is believed from now on, at every change."""

Servers = Mapping[str, str]
"""Address of each server by name, in order."""

Maker = Callable[[Servers, Random, Learned, dict[str, Any]], Path]


def maker_of(kind: str) -> Maker:
    """What makes the path of a kind out of (servers, random numbers, learned, settings). Raises ValueError."""
    if kind not in KINDS:
        raise ValueError(f"unknown route {kind!r}; one of: {', '.join(KINDS)}")
    make: Maker = import_module(f"lab.inside.paths.{kind}").make
    return make
