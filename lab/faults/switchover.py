"""Switchover: not a breakage but a change: whoever manages the servers is asked to let another one lead."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from lab.errors import BadInput, NodeLost
from lab.protocols import Evidence, Fields, Injection, Node, Site
from lab.wait import TimedOut, wait_until

CONTROLLER = "controller"
WATCHER = "watcher"
"""The role of the pod that comes with Patroni."""
SERVERS = "postgres"
FIRST = "postgres1"
ASKED_S = 30.0
"""How long the answer may take: some managers answer when it is done."""
DONE_S = 15.0


@dataclass(frozen=True, slots=True)
class Switchover:
    """Ask the controller where there is one, else the target's own manager. The instant is that of asking."""

    name: ClassVar[str] = "switchover"
    needs: ClassVar[frozenset[str]] = frozenset({"signal"})
    leaves: ClassVar[str] = "alive"

    def fits(self, targets: Sequence[tuple[str, str]], nodes: Sequence[tuple[str, str]]) -> None:
        """Whether somebody can be asked, and it is the primary that hands over. Raises BadInput."""
        if not {CONTROLLER, WATCHER} & {role for _, role in nodes}:
            raise BadInput("Switchover: nobody is there who could be asked; add Controller(), Manual() or Patroni()")
        if any(target not in (f"leader({SERVERS})", FIRST) for target, _ in targets):
            raise BadInput(f"Switchover: only a primary hands over; its target is leader({SERVERS!r})")

    def inject(self, site: Site) -> Injection:
        asked = next((node for node in site.nodes.values() if node.role == CONTROLLER), site.target)
        message = {"do": "switchover"} if asked.role == CONTROLLER else {"do": "switchover", "to": ""}
        seen = asked.tell("ask", probe="control", message=message, timeout_s=ASKED_S)
        answer: Fields = seen.get("answer", {})
        if not answer.get("ok"):
            raise NodeLost(f"{asked.name}: no switchover: {answer.get('error') or seen.get('why', 'it did not say')}")
        with suppress(TimedOut):  # what verifies it tells what is missing
            wait_until(lambda: _done(site.target.name, _states(site)), timeout_s=DONE_S, every_s=0.05)
        return Injection(site.target.name, seen["after_ns"], seen["before_ns"], {"asked": asked.name})

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        states = _states(site)
        return {
            "holds": _done(site.target.name, states),
            "target_does_not_lead": states.get(site.target.name) != "primary",
            "another_leads": any(state == "primary" for name, state in states.items() if name != site.target.name),
            "states": states,
        }

    def heal(self, site: Site, injection: Injection) -> None:
        """There is nothing to undo: the next trial begins with its own leader."""


def _done(target: str, states: dict[str, str]) -> bool:
    return states.get(target) != "primary" and "primary" in states.values()


def _states(site: Site) -> dict[str, str]:
    """What each server says of itself: primary, read_only, standby, down; "" where nobody answers."""
    return {name: _state(node) for name, node in site.nodes.items() if node.role == SERVERS}


def _state(node: Node) -> str:
    try:
        seen = node.tell("ask", probe="control", message={"do": "status"})
    except NodeLost:
        return ""
    answer: Fields = seen.get("answer", {})
    return str(answer.get("state", ""))
