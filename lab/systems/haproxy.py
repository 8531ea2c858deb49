"""HAProxy in front of the databases: it asks every Patroni whether it leads, and lets clients through to that one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.errors import BadInput
from lab.fields import check_number, check_whole
from lab.protocols import Beat, Bounds, ClientRoute, Fields, Phase, Route, Stack, System
from lab.systems.asking import ask_server, revive

CHECK_S = 0.1
"""One check of a Patroni that answers, and the switch after it."""


@dataclass(frozen=True, slots=True)
class HaProxy:
    """Every server is checked each `check_interval_s`, each `fast_interval_s` while it is down or changes; `fall` bad
    checks take it out and end its sessions, `rise` good ones bring it in. Milliseconds count."""

    check_interval_s: float = 1.0
    fast_interval_s: float = 0.2
    fall: int = 2
    rise: int = 1
    connect_timeout_s: float = 1.0
    name: ClassVar[str] = "haproxy"
    compose_files: ClassVar[tuple[str, ...]] = ("haproxy.yaml",)
    nodes: ClassVar[tuple[tuple[str, str], ...]] = (("haproxy", "proxy"),)

    def __post_init__(self) -> None:
        for name in ("check_interval_s", "fast_interval_s", "connect_timeout_s"):
            check_number("HaProxy", name, getattr(self, name), least=0.01)
        check_whole("HaProxy", "fall", self.fall, least=1)
        check_whole("HaProxy", "rise", self.rise, least=1)
        if self.fast_interval_s > self.check_interval_s:
            raise BadInput(
                f"HaProxy: fast_interval_s={self.fast_interval_s:g} is longer than check_interval_s="
                f"{self.check_interval_s:g}: a server in doubt is checked more often, not less"
            )

    def check_beside(self, systems: Sequence[System], routes: Sequence[ClientRoute]) -> None:
        """It asks Patroni who leads, so there must be one. Raises BadInput."""
        if all(system.name != "patroni" for system in systems):
            raise BadInput("HaProxy asks Patroni's REST API who leads, and there is none: add Patroni(...)")

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LAB_PROXY_CHECK_S": f"{self.check_interval_s:g}",
            "LAB_PROXY_FAST_S": f"{self.fast_interval_s:g}",
            "LAB_PROXY_FALL": str(self.fall),
            "LAB_PROXY_RISE": str(self.rise),
            "LAB_PROXY_CONNECT_S": f"{self.connect_timeout_s:g}",
        }

    @property
    def settings(self) -> Fields:
        return {
            "check_interval_s": self.check_interval_s,
            "fast_interval_s": self.fast_interval_s,
            "fall": self.fall,
            "rise": self.rise,
            "connect_timeout_s": self.connect_timeout_s,
        }

    def route(self) -> Route | None:
        return None

    def bounds(self, change: str) -> Bounds | None:
        """It fails nothing over: what it adds is `publication`, which the route through it counts."""
        return None

    @property
    def publication(self) -> Phase:
        """From a Patroni that says that it leads to clients who are let through to it."""
        high_s = self.rise * self.fast_interval_s + CHECK_S
        return Phase("publication", 0.0, high_s, f"fast_interval_s ({self.fast_interval_s:g})")

    @property
    def beat_s(self) -> float:
        return 0.0

    def beat(self, stack: Stack) -> Beat | None:
        return None

    def lacking(self, stack: Stack) -> Sequence[str]:
        status = ask_server(stack.nodes["haproxy"], "status")
        if not status:
            return ["haproxy: it does not answer yet"]
        up = status["up"]
        return [] if up == ["postgres1"] else [f"haproxy: lets clients through to {', '.join(up) or 'nobody'}"]

    def leader(self, stack: Stack) -> str | None:
        return None

    def reset(self, stack: Stack) -> None:
        """It runs; its checks find the new leader by themselves."""
        revive(stack.nodes["haproxy"])
