"""libpq's list of hosts: every server, in order, and the first that takes writes is it."""

from __future__ import annotations

from random import Random
from typing import Any

from gevent.event import Event

from lab.inside.paths import Learned, Servers, Target
from lab.inside.routes import known

DEFAULTS: dict[str, Any] = {"port": 5432}


class MultiHost:
    """Settings: port."""

    def __init__(self, servers: Servers, settings: dict[str, Any]) -> None:
        self._target = Target(tuple(servers.items()), int(known(settings, DEFAULTS)["port"]), read_write=True)

    def run(self) -> None:
        """There is nothing to learn."""
        Event().wait()

    def target(self) -> Target:
        """All of them."""
        return self._target

    def close(self) -> None:
        """It holds nothing."""


def make(servers: Servers, _rng: Random, _learned: Learned, settings: dict[str, Any]) -> MultiHost:
    """The path of one route."""
    return MultiHost(servers, settings)
