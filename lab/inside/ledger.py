"""Counts that must add up: requests due, sent and done, second by second, apart from the requests' own events."""

from __future__ import annotations

from lab.clock import MS, S
from lab.history import Recorder


class Ledger:
    """Due, sent and done of each second since the load began, recorded as `load.second` when a second is over."""

    def __init__(self, recorder: Recorder, origin_ns: int) -> None:
        self.due = self.sent = self.done = 0
        self._recorder = recorder
        self._origin_ns = origin_ns
        self._due: dict[int, int] = {}
        self._late_ns: dict[int, list[int]] = {}
        self._done: dict[int, int] = {}
        self._second = 0
        self._open = 0

    @property
    def next_ns(self) -> int:
        """When the second that runs now is over."""
        return self._origin_ns + (self._second + 1) * S

    def add_due(self, due_ns: int) -> None:
        """A request is due at `due_ns`, whether or not anybody can send it."""
        self.due += 1
        second = (due_ns - self._origin_ns) // S
        self._due[second] = self._due.get(second, 0) + 1

    def add_sent(self, due_ns: int, sent_ns: int) -> None:
        """The first attempt of a request begins."""
        self.sent += 1
        second = (sent_ns - self._origin_ns) // S
        late_ns = self._late_ns.get(second)
        if late_ns is None:
            late_ns = self._late_ns[second] = []
        late_ns.append(sent_ns - due_ns)

    def add_done(self, done_ns: int) -> None:
        """A request is over, in whatever way."""
        self.done += 1
        second = (done_ns - self._origin_ns) // S
        self._done[second] = self._done.get(second, 0) + 1

    def close_seconds(self, now_ns: int) -> None:
        """Record every second that is over. Whoever adds requests that are due does so before calling this."""
        while now_ns >= self.next_ns:
            self._record_second()

    def close(self, now_ns: int) -> None:
        """Record the rest, the last second in part."""
        self.close_seconds(now_ns)
        self._record_second()
        self._recorder.record("load.end", due=self.due, sent=self.sent, done=self.done)

    def _record_second(self) -> None:
        second = self._second
        late_ns = sorted(self._late_ns.pop(second, ()))
        due, done = self._due.pop(second, 0), self._done.pop(second, 0)
        self._open += due - done
        p99_ms = late_ns[min(len(late_ns) - 1, len(late_ns) * 99 // 100)] / MS if late_ns else None
        self._recorder.record(
            "load.second",
            second=second,
            due=due,
            sent=len(late_ns),
            done=done,
            open=self._open,
            late_ms_p99=None if p99_ms is None else round(p99_ms, 3),
        )
        self._second = second + 1
