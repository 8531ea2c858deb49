"""When the connections of a route that fails may be tried again.

Each pauses after its own failure. But a pool of sixteen that all try on their own would start hundreds of sessions a
second at the servers, which have a failover to do meanwhile: attempts of one route begin as far apart as the last one
took, at least a quarter of the pause and at most a whole one. With the first success the rest go at once.
"""

from __future__ import annotations

import gevent
from gevent.event import Event

from lab import clock


class Pace:
    """The turns of one route."""

    def __init__(self, pause_s: float) -> None:
        self._pause_ns = int(pause_s * clock.S)
        self._gap_ns = self._pause_ns // 4
        self._next_ns = 0
        self._well = Event()
        self._well.set()

    @property
    def failing(self) -> bool:
        """Whether the last thing that happened on this route was a failure."""
        return not self._well.is_set()

    def failed(self, took_ns: int = 0) -> None:
        """Something failed, after so long."""
        self._well.clear()
        self._gap_ns = min(self._pause_ns, max(self._pause_ns // 4, took_ns))

    def succeeded(self) -> None:
        """A write was acknowledged."""
        if not self._well.is_set():
            self._well.set()
            self._gap_ns = self._pause_ns // 4
            self._next_ns = clock.now_ns() + self._gap_ns

    def await_turn(self, failed_ns: int) -> None:
        """Wait until a connection whose last failure was at `failed_ns` (0: none) may be tried."""
        if not self.failing and not failed_ns:
            return
        if self.failing and self._well.wait(self._left_s(failed_ns + self._pause_ns if failed_ns else 0)):
            gevent.sleep(self._left_s(0))  # somebody else was successful meanwhile: its turn comes sooner
        elif not self.failing:
            gevent.sleep(self._left_s(0))

    def _left_s(self, soonest_ns: int) -> float:
        """Take the next turn, not before an instant; how long that is from now."""
        now_ns = clock.now_ns()
        turn_ns = max(now_ns, self._next_ns, soonest_ns)
        self._next_ns = turn_ns + self._gap_ns
        return (turn_ns - now_ns) / clock.S
