"""How late this process is: it asks to be woken every 10 ms and counts by how much it was missed.

A process that was not scheduled cannot tell when things happened meanwhile. Once a second the lateness goes into a
`lag` event; a tick more than 20 ms late is a `stall` event, and every sample that overlaps it is widened.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from lab.clock import MS, S, now_ns

PERIOD_NS = 10 * MS
STALL_NS = 20 * MS
BUCKETS = 25
_FIRST_NS = 0.1 * MS


class Writer(Protocol):
    """Where the events go: a Recorder, or one behind a lock."""

    def record(self, kind: str, t_ns: int | None = None, **fields: Any) -> object: ...


def bucket(late_ns: int) -> int:
    """The bucket of a lateness: bucket i counts what is below 0.1 ms * 2 ** (i / 2), the last one takes all larger."""
    if late_ns < _FIRST_NS:
        return 0
    return min(BUCKETS - 1, 1 + math.floor(2 * math.log2(late_ns / _FIRST_NS)))


class Ticker:
    """Counts lateness of ticks and records `lag` and `stall`; the caller does the sleeping, in whatever way it can."""

    def __init__(self, writer: Writer, clock_ns: Callable[[], int] = now_ns) -> None:
        self._writer = writer
        self._clock_ns = clock_ns
        self._last_ns = clock_ns()
        self._due_ns = self._last_ns + PERIOD_NS
        self._report_ns = self._last_ns + S
        self._counts = [0] * BUCKETS

    def tick(self) -> float:
        """To be called when the last answer has passed: counts this tick; seconds to sleep until the next one."""
        now = self._clock_ns()
        late_ns = max(0, now - self._due_ns)
        self._counts[bucket(late_ns)] += 1
        if late_ns > STALL_NS:
            self._writer.record("stall", now, after_ns=self._last_ns, before_ns=now, late_ns=late_ns)
        if now >= self._report_ns:
            self._writer.record("lag", now, ticks=sum(self._counts), buckets=self._counts)
            self._counts = [0] * BUCKETS
            self._report_ns += S * (1 + (now - self._report_ns) // S)
        self._last_ns = now
        self._due_ns += PERIOD_NS * (1 + late_ns // PERIOD_NS)  # ticks that a stall swallowed are not made up for
        return max(0, self._due_ns - self._clock_ns()) / S

    def run(self, sleep: Callable[[float], object] = time.sleep) -> None:
        """Tick for ever: in a thread as it is, in a greenlet with gevent.sleep."""
        sleep(PERIOD_NS / S)
        while True:
            sleep(self.tick())
