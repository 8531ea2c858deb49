# ruff: noqa: PTH115, PTH123, PTH208
# pathlib costs several times as much as the look itself, and a look is part of the width of an edge.
"""The server's processes as the agent sees them: the pod's PID namespace is shared, its mount namespaces are not."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from lab import clock

LOOK_EVERY_S = 0.0001
"""How often it is looked whether a signal has had its effect: half of the width of the edge."""

tools = threading.Lock()
"""Held while a tool (iptables) runs as the agent's child, so that PID 1's reaping does not take its exit code."""

SIGNALS = {name: getattr(signal, f"SIG{name}") for name in ("KILL", "STOP", "CONT", "TERM")}


def listing() -> list[dict[str, Any]]:
    """Every process of the server: pid, state (R, S, D, T, Z ...) and command line."""
    return [{"pid": pid, "state": _states(pid)[:1], "command": _command(pid)} for pid in server_pids()]


def server_pids() -> list[int]:
    """The pids whose mount namespace is not the agent's; without dead ones (a zombie has no namespaces)."""
    own = os.readlink("/proc/self/ns/mnt")
    pids = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):  # it ended between the two looks
                if os.readlink(f"/proc/{name}/ns/mnt") != own:
                    pids.append(int(name))
    return sorted(pids)


def send(name: str, wait_s: float, match: str = "") -> dict[str, Any]:
    """Signal the server (KILL, STOP, CONT: every process; TERM: the main one) and wait until that had its effect.

    With `match`, a regular expression searched in command lines, only those processes get it, whatever the signal.
    The effect lies in [after_ns, before_ns]. `done` is False when it was not seen within `wait_s` seconds.
    """
    number = SIGNALS[name]
    has_effect, every = _EFFECTS[name]
    if match:
        every = True
        has_effect = _all_gone if name == "TERM" else has_effect
    wanted = re.compile(match)
    deadline_ns = clock.now_ns() + int(wait_s * clock.S)

    def there() -> list[int]:
        return [pid for pid in server_pids() if not match or wanted.search(_command(pid))]

    targets = there() if every else _main(server_pids())
    hit: list[int] = []
    after_ns = clock.now_ns()
    while True:
        for pid in targets:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                hit.append(pid)
        sent_ns = clock.now_ns()
        done = _await(lambda: has_effect(hit), deadline_ns)
        before_ns = clock.now_ns()
        # A process may have forked between the look and the signal: what is there now and was not hit gets it too.
        targets = [pid for pid in there() if pid not in hit] if every and done else []
        if not targets:
            return {"after_ns": after_ns, "before_ns": before_ns, "sent_ns": sent_ns, "pids": hit, "done": done}


def _await(condition: Callable[[], bool], deadline_ns: int) -> bool:
    while not condition():
        if clock.now_ns() >= deadline_ns:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def _all_gone(pids: list[int]) -> bool:
    # A zombie with one thread left has closed its files: its sockets are gone, only its parent has not looked yet.
    return all(_states(pid) in ("", "Z", "X") for pid in pids)


def _all_stopped(pids: list[int]) -> bool:
    # Each thread stops by itself, so each is looked at.
    return all(set(_states(pid)) <= set("TtZX") for pid in pids)


def _none_stopped(pids: list[int]) -> bool:
    return not any("T" in _states(pid) for pid in pids)


def _server_gone(_: list[int]) -> bool:
    return not server_pids()


_EFFECTS: dict[str, tuple[Callable[[list[int]], bool], bool]] = {
    "KILL": (_all_gone, True),
    "STOP": (_all_stopped, True),
    "CONT": (_none_stopped, True),
    "TERM": (_server_gone, False),
}
"""What each signal is to bring about, and whether every process gets it."""


def _main(pids: list[int]) -> list[int]:
    """The server's first process: its parent is outside of the pod (`docker exec` makes later ones of the kind)."""
    return [pid for pid in pids if _stat(f"/proc/{pid}/stat")[1:2] == ["0"]][:1]


def _states(pid: int) -> str:
    """The state of each thread, the main one first; empty when there is no such process."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return ""
    if str(pid) in threads:
        threads.remove(str(pid))
        threads.insert(0, str(pid))
    return "".join("".join(_stat(f"/proc/{pid}/task/{thread}/stat")[:1]) for thread in threads)


def _stat(path: str) -> list[str]:
    """The fields of a stat file from the state on (the name before them may hold anything)."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
