"""The node's packets: dropped all at once and atomically, never on `lo` (a server must still reach itself)."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import termios
import threading
import time
from typing import Any

from lab import clock
from lab.inside.processes import tools

_DROP = """*filter
:LAB-IN - [0:0]
:LAB-OUT - [0:0]
-A LAB-IN -j DROP
-A LAB-OUT -j DROP
-I INPUT ! -i lo -j LAB-IN
-I OUTPUT ! -o lo -j LAB-OUT
"""
_UNDROP = """*filter
-D INPUT ! -i lo -j LAB-IN
-D OUTPUT ! -o lo -j LAB-OUT
-F LAB-IN
-F LAB-OUT
-X LAB-IN
-X LAB-OUT
"""
_COMMIT = "COMMIT\n"
READ_S = 0.5
"""How long iptables-restore may take to read the rules before they are committed."""


class Packets:
    """The rules of this network namespace; nobody else writes any. It ends with the agent, so it is known in full."""

    def __init__(self) -> None:
        self.dropping = False
        self._lock = threading.Lock()

    def drop(self) -> dict[str, Any]:
        """Drop everything in and out; the instant lies in [after_ns, before_ns]. Idempotent."""
        return self._become(True, _DROP)

    def undrop(self) -> dict[str, Any]:
        """Let everything through again; the same answer. Idempotent."""
        return self._become(False, _UNDROP)

    def rules(self) -> dict[str, Any]:
        """Whether the kernel drops now, and the packets and bytes that it has dropped since `drop`."""
        saved = _run(["iptables-save", "-c", "-t", "filter"])
        drops = [line for line in saved.splitlines() if line.endswith("-j DROP") and " LAB-" in line]
        counts = [line[1 : line.index("]")].split(":") for line in drops]
        return {
            "dropping": len(drops) == 2,
            "packets": sum(int(packets) for packets, _ in counts),
            "bytes": sum(int(size) for _, size in counts),
        }

    def _become(self, dropping: bool, script: str) -> dict[str, Any]:
        with self._lock:
            after_ns = clock.now_ns()
            if self.dropping != dropping:
                after_ns = _restore(script)
                self.dropping = dropping
            return {"after_ns": after_ns, "before_ns": clock.now_ns()}


def _restore(script: str) -> int:
    """Make the kernel follow a script, all at once; returns an instant just before it did.

    Nothing changes before COMMIT, so that word is held back until the tool has started and read the rest: its start
    (several milliseconds) is then no part of the edge's width.
    """
    with tools, _started(["iptables-restore", "--noflush", "-w", "2"]) as tool:
        assert tool.stdin is not None
        tool.stdin.write(script)
        tool.stdin.flush()
        give_up_ns = clock.now_ns() + int(READ_S * clock.S)
        while _unread(tool.stdin.fileno()) and clock.now_ns() < give_up_ns and tool.poll() is None:
            time.sleep(0.0002)
        after_ns = clock.now_ns()
        _end(tool, _COMMIT)
    return after_ns


def _run(argv: list[str]) -> str:
    with tools, _started(argv) as tool:
        return _end(tool, "")


def _started(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _end(tool: subprocess.Popen[str], given: str) -> str:
    said, complaint = tool.communicate(given, timeout=5)
    if tool.returncode:
        raise OSError(f"{tool.args!r}: {complaint.strip() or f'exit code {tool.returncode}'}")
    return said


def _unread(pipe: int) -> int:
    """Bytes in a pipe that its reader has not taken yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
