"""Through HAProxy: always the same address, and whoever HAProxy lets clients through to."""

from __future__ import annotations

from random import Random
from typing import Any

from gevent.event import Event

from lab.inside.naming import address_of
from lab.inside.paths import Learned, Servers, Target
from lab.inside.routes import known

DEFAULTS: dict[str, Any] = {"proxy": "haproxy", "port": 5000}


class HaProxy:
    """Settings: proxy (name or address), port."""

    def __init__(self, settings: dict[str, Any]) -> None:
        chosen = known(settings, DEFAULTS)
        name = str(chosen["proxy"])
        self._target = Target(((name, address_of(name, limit_s=5.0)),), int(chosen["port"]))

    def run(self) -> None:
        """There is nothing to learn."""
        Event().wait()

    def target(self) -> Target:
        """The proxy."""
        return self._target

    def close(self) -> None:
        """It holds nothing."""


def make(_servers: Servers, _rng: Random, _learned: Learned, settings: dict[str, Any]) -> HaProxy:
    """The path of one route."""
    return HaProxy(settings)
