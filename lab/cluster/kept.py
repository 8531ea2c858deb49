"""A look into a stack that was kept with --keep (or that runs just now): a shell in a node, and its log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from lab.cluster.door import Door
from lab.errors import BadInput, EngineMissing, LabError


def shell(node: str, command: Sequence[str], *, arm: str = "", part: str = "server") -> int:
    """Run a command (a shell without one) in a node, on this terminal; its exit code.

    Raises BadInput where no such node runs.
    """
    door = Door()
    try:
        container = _container(door, node, arm, part)
    finally:
        door.close()
    if container["State"] != "running":
        raise BadInput(f"its {part} does not run; `lab logs {node}` may say why", f"node {node}")
    terminal = "-it" if sys.stdin.isatty() and sys.stdout.isatty() else "-i"
    try:
        return subprocess.call(["docker", "exec", terminal, container["Id"], *(command or ("sh",))])
    except FileNotFoundError as error:
        raise EngineMissing("the command `docker` is not there; `lab doctor` says how to get it") from error


def logs(node: str, *, arm: str = "", part: str = "server") -> str:
    """What a node has logged, with the engine's time stamps. Raises BadInput where there is no such node."""
    door = Door()
    try:
        container = _container(door, node, arm, part)
        text: bytes = door.call(door.api.logs, container["Id"], timestamps=True)
    except LabError as error:
        if "does not support reading" in str(error):
            raise BadInput("a host keeps no log; its history (agent/NODE) does", f"node {node}") from error
        raise
    finally:
        door.close()
    return text.decode(errors="replace")


def _container(door: Door, node: str, arm: str, part: str) -> dict[str, Any]:
    """The node's container in the newest stack that has one."""
    labels = ["lab.run", f"lab.part={part}", *([f"lab.arm={arm}"] if arm else [])]
    found: list[dict[str, Any]] = door.call(door.api.containers, all=True, filters={"label": labels})
    if not found:
        of_arm = f" of arm {arm}" if arm else ""
        raise BadInput(f"no stack{of_arm} is there; `lab run SCENARIO --keep` leaves one", f"node {node}")
    fitting = [container for container in found if container["Labels"]["lab.node"] == node]
    if not fitting:
        there = sorted({container["Labels"]["lab.node"] for container in found})
        raise BadInput(f"no such node; there are: {', '.join(there)}", f"node {node}")
    return max(fitting, key=lambda container: int(container["Created"]))
