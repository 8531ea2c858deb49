"""Lines of PostgreSQL's log that say what a failover is made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from lab.clock import S, now_ns

AGAIN_NS = S
"""The same line again within so long of the last one says nothing new: a server that retries, refused clients."""

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC \[\d+\] ([A-Z]+): +(.*)")
_MEANINGS = (
    ("promote_requested", re.compile(r"received promote request")),
    ("timeline", re.compile(r"selected new timeline ID")),
    ("recovered", re.compile(r"archive recovery complete")),
    ("ready", re.compile(r"database system is ready to accept connections")),
    ("ready_read_only", re.compile(r"database system is ready to accept read-only connections")),
    ("streaming", re.compile(r"started streaming WAL from primary")),
    ("receiver_lost", re.compile(r"replication terminated by primary|could not receive data from WAL stream")),
    ("receiver_lost", re.compile(r"terminating walreceiver")),
    ("standby_lost", re.compile(r"terminating walsender process due to replication timeout")),
    ("standby_in_sync", re.compile(r'standby "[^"]+" is now a ')),
    ("parameter", re.compile(r'parameter "[^"]+" (changed|removed)')),
    ("shutdown_requested", re.compile(r"received \w+ shutdown request")),
    ("shut_down", re.compile(r"database system is shut down")),
    ("was_killed", re.compile(r"database system was (not properly shut down|interrupted)")),
    ("process_died", re.compile(r"terminated by signal|exited with exit code [^01]")),
)


class Line(NamedTuple):
    """One line of the log. `what` is empty where it says nothing of a failover; `wall_ns`: its own stamp since 1970."""

    level: str
    text: str
    wall_ns: int
    what: str


def parse(line: str) -> Line | None:
    """A line as the server wrote it; None for what is not the first line of a message."""
    found = _LINE.match(line)
    if found is None:
        return None
    stamp, level, text = found.groups()
    when = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    wall_ns = int(when.timestamp()) * S + when.microsecond * 1000
    what = next((what for what, pattern in _MEANINGS if pattern.search(text)), "")
    if not what and level in ("FATAL", "PANIC"):
        what = level.lower()
    return Line(level, text, wall_ns, what)


class Notable:
    """Which lines are worth an event."""

    def __init__(self, clock_ns: Callable[[], int] = now_ns) -> None:
        self._clock_ns = clock_ns
        self._last: dict[str, int] = {}

    def __call__(self, line: Line) -> bool:
        """Whether a line means something and was not written a moment ago already."""
        if not line.what:
            return False
        read_ns = self._clock_ns()
        said_ns = self._last.get(line.text)
        self._last = {text: at_ns for text, at_ns in self._last.items() if read_ns - at_ns < AGAIN_NS}
        self._last[line.text] = read_ns
        return said_ns is None or read_ns - said_ns >= AGAIN_NS
