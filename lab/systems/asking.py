"""Questions that systems ask of running nodes, through the nodes' own agents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lab.errors import NodeLost
from lab.protocols import Fields, Node, Stack
from lab.wait import TimedOut, wait_until

PORT = 8080
SERVICE = "shop"
ORDER_S = 20.0
UNREACHED: Fields = {"reached": False}


def ask(node: Node, probe: str, **arguments: Any) -> Fields:
    """One look at a node from inside it, at most 0.3 s; {"reached": False} when nobody answers, be it the agent."""
    try:
        return node.tell("ask", probe=probe, **arguments)
    except NodeLost:
        return UNREACHED


def ask_server(node: Node, do: str) -> Fields:
    """A command to the control socket of the node's server; empty when it does not answer, or not with success."""
    answer = ask(node, "control", message={"do": do})
    told: Fields = answer["answer"] if answer["reached"] else {}
    return told if told.get("ok") else {}


def order(node: Node, do: str) -> None:
    """A command to the control socket of a node's server, again until it says yes: it may only just have been started.

    Raises NodeLost.
    """
    try:
        wait_until(lambda: ask_server(node, do), timeout_s=ORDER_S)
    except TimedOut:
        raise NodeLost(f"{node.name}: {do!r} was not done within {ORDER_S:g} s") from None


def serves(node: Node) -> bool:
    """Whether the instance on a node calls itself healthy."""
    return bool(ask(node, "http", host="127.0.0.1", port=PORT, path="/health").get("status") == 200)


def serving(stack: Stack) -> frozenset[str]:
    """The instances that call themselves healthy now."""
    return frozenset(node.name for node in stack.role("backend") if serves(node))


def differences(who: str, names: Iterable[str], instances: frozenset[str]) -> list[str]:
    """Sentences: how what somebody names differs from the instances that serve."""
    named = frozenset(names)
    missing = [f"{who}: {node} serves, but is not there yet" for node in sorted(instances - named)]
    return missing + [f"{who}: {node} is there, but does not serve" for node in sorted(named - instances)]


def revive(node: Node) -> None:
    """Start what of a node does not run."""
    if node.server_running():
        return
    try:
        node.tell("ping")
    except NodeLost:
        node.start_host()
    else:
        node.start_server()
