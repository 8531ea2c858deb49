"""The scripted registry as a system: an arm whose true figures are known beforehand. It exists to test the lab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.errors import BadInput
from lab.fields import check_number
from lab.protocols import Beat, Bounds, Fields, Phase, Route, Stack
from lab.systems.asking import ask_server, differences, serving

SEES_S = 0.1
"""How soon the registry sees that a connection ended, or that an instance takes one again (it tries every 20 ms)."""

SEEN = frozenset({"crash", "return"})
"""What shows at a TCP connection at once. Who is paused, cut off or drains keeps its connections."""


@dataclass(frozen=True, slots=True)
class Scripted:
    """A registry that tells client c of every change exactly delays_s[c % len(delays_s)] after it saw it."""

    delays_s: tuple[float, ...] = (0.5, 1.0, 3.0)

    def __post_init__(self) -> None:
        if not isinstance(self.delays_s, tuple) or not self.delays_s:
            raise BadInput(f"Scripted: delays_s={self.delays_s!r} must be a tuple of seconds, e.g. (0.5, 1.0, 3.0)")
        for number, delay_s in enumerate(self.delays_s):
            check_number("Scripted", f"delays_s[{number}]", delay_s, least=0)

    @property
    def name(self) -> str:
        """Its key in settings."""
        return "scripted"

    @property
    def compose_files(self) -> tuple[str, ...]:
        """Files below compose/."""
        return ("scripted.yaml",)

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        """The one registry."""
        return (("registry", "registry"),)

    @property
    def environment(self) -> Mapping[str, str]:
        """For scripted.yaml, and for the instances: they register nowhere."""
        return {"LAB_DELAYS_S": ",".join(f"{delay_s:g}" for delay_s in self.delays_s), "LAB_REGISTRY": "none"}

    @property
    def settings(self) -> Fields:
        """For the report."""
        return {"delays_s": list(self.delays_s)}

    def route(self) -> Route:
        """Clients keep a connection to the registry."""
        return Route("scripted", {"registry": "registry"})

    def bounds(self, change: str) -> Bounds | None:
        """The script itself; None for what no connection shows."""
        if change not in SEEN:
            return None
        longest_s = max(self.delays_s)
        return Bounds(
            (
                Phase("detection", 0.0, SEES_S, ""),
                Phase("publication", 0.0, longest_s, f"delays_s ({longest_s:g})"),
            )
        )

    def beat(self, stack: Stack) -> Beat | None:
        """Nothing in it is periodic."""
        return None

    @property
    def beat_s(self) -> float:
        """None."""
        return 0.0

    def lacking(self, stack: Stack) -> Sequence[str]:
        """Ready when it sees whom it should and has told everybody everything."""
        told = ask_server(stack.nodes["registry"], "status")
        if not told:
            return ["registry: does not answer yet"]
        lacking = differences("registry", told["present"], serving(stack))
        return lacking + ([f"registry: {told['due']} changes are not told to everybody yet"] if told["due"] else [])

    def leader(self, stack: Stack) -> str | None:
        """Nobody leads."""
        return None

    def reset(self, stack: Stack) -> None:
        """Nothing to reset: it sees what is there."""
