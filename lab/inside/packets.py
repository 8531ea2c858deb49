"""The node's packets: dropped all at once and atomically, never on `lo` (a server must still reach itself).

A drop stops everything, as a power loss does; cuts (lab.inside.cuts) stop some of it, several at once.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterable
from typing import Any

from lab import clock
from lab.inside.cuts import Cut, counted
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
        self._cuts: dict[int, Cut] = {}
        self._number = 0
        self._lock = threading.Lock()

    def drop(self) -> dict[str, Any]:
        """Drop everything in and out; the instant lies in [after_ns, before_ns]. Idempotent."""
        return self._become(True, _DROP)

    def undrop(self) -> dict[str, Any]:
        """Let everything through again; the same answer. Idempotent."""
        return self._become(False, _UNDROP)

    def cut(
        self, peers: Iterable[str] = (), ports: Iterable[int] = (), direction: str = "both", how: str = "drop"
    ) -> dict[str, Any]:
        """Stop what `Cut` says: {after_ns, before_ns, cut: its number}. Raises ValueError on what makes no sense."""
        with self._lock:
            cut = Cut(self._number + 1, tuple(peers), tuple(ports), direction, how)
            after_ns = _restore("*filter\n" + cut.made())
            before_ns = clock.now_ns()
            self._number = cut.number
            self._cuts[cut.number] = cut
            return {"after_ns": after_ns, "before_ns": before_ns, "cut": cut.number}

    def uncut(self, numbers: Iterable[int]) -> dict[str, Any]:
        """Take cuts away, all at once; numbers of cuts that are not there are none of our business."""
        with self._lock:
            going = [self._cuts[number] for number in dict.fromkeys(numbers) if number in self._cuts]
            after_ns = before_ns = clock.now_ns()
            if going:
                after_ns = _restore("*filter\n" + "".join(cut.opened() for cut in going))
                before_ns = clock.now_ns()
                _restore("*filter\n" + "".join(cut.undone() for cut in going))
                for cut in going:
                    del self._cuts[cut.number]
            return {"after_ns": after_ns, "before_ns": before_ns}

    def cuts(self) -> list[int]:
        """The numbers of the cuts that hold."""
        with self._lock:
            return list(self._cuts)

    def rules(self) -> dict[str, Any]:
        """Whether the kernel drops now, the packets and bytes that it has dropped since `drop`, and `cuts`:
        [{cut, peer, direction, how, packets}] as lab.inside.cuts.counted tells them."""
        saved = _run(["iptables-save", "-c", "-t", "filter"])
        drops = [line for line in saved.splitlines() if line.endswith(("-A LAB-IN -j DROP", "-A LAB-OUT -j DROP"))]
        counts = [line[1 : line.index("]")].split(":") for line in drops]
        return {
            "dropping": len(drops) == 2,
            "packets": sum(int(packets) for packets, _ in counts),
            "bytes": sum(int(size) for _, size in counts),
            "cuts": counted(saved),
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
