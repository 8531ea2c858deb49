"""How a client finds instances: one file a kind, each made for one client and run in that client's greenlet."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from random import Random
from typing import Any, Protocol

from lab.inside.views import ClientView

KINDS = ("dns", "scripted", "zookeeper")


class Discovery(Protocol):
    """Keeps one client's view."""

    def run(self) -> None:
        """Keep the view right for ever; ends when its greenlet is killed, or by an error (it is run again then)."""
        ...

    def close(self) -> None:
        """Let go of connections and sessions; run() is over by then."""
        ...


Maker = Callable[[ClientView, Random, dict[str, Any]], Discovery]


def maker_of(kind: str) -> Maker:
    """What makes the route of a kind out of (view, the client's random numbers, settings). Raises ValueError."""
    if kind not in KINDS:
        raise ValueError(f"unknown route {kind!r}; one of: {', '.join(KINDS)}")
    make: Maker = import_module(f"lab.inside.routes.{kind}").make
    return make


def known(settings: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """`defaults` overlaid with `settings`. Raises ValueError for a setting that the route does not have."""
    strange = sorted(set(settings) - set(defaults))
    if strange:
        raise ValueError(f"unknown route setting {', '.join(strange)}; known: {', '.join(sorted(defaults))}")
    return {**defaults, **settings}
