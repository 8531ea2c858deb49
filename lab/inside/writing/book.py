"""The writes of one route: what is open, what became of each, and how long all has been well.

Outcomes: ok (acknowledged, however late); fail (certainly not done: never sent, refused, an error answered before the
commit); info (nobody knows: sent, and the connection broke or the deadline came first).
"""

from __future__ import annotations

from typing import Any

from lab import clock
from lab.history import Recorder
from lab.inside.ledger import Ledger


class Write:
    """One intended write, from its due instant to its record."""

    __slots__ = (
        "attempt",
        "attempt_ns",
        "client",
        "deadline_ns",
        "done",
        "doubt",
        "doubts",
        "due_ns",
        "expired",
        "flying",
        "id",
        "lsn",
        "node",
        "sent_ns",
        "timeline",
        "tried",
        "warned",
        "why",
    )

    def __init__(self, number: int, due_ns: int, deadline_ns: int) -> None:
        self.id = number
        self.due_ns = due_ns
        self.deadline_ns = deadline_ns
        self.sent_ns: int | None = None
        self.attempt = 0
        """Attempts that were sent so far."""
        self.attempt_ns = 0
        self.tried: list[list[Any]] = []
        """Attempts before the last one."""
        self.doubts = 0
        """Those of them of which nobody knows whether they were done."""
        self.doubt = ""
        self.client: int | None = None
        self.node: str | None = None
        self.flying: Any = None
        """The line that it was sent on and is not answered on yet."""
        self.timeline: int | None = None
        self.lsn: int | None = None
        self.warned = False
        self.why = ""
        """Why it has not been sent, or not successfully, so far."""
        self.expired = False
        self.done = False


class Book:
    """Every write of a route, numbered from 1 in the order in which they are due."""

    def __init__(self, label: str, deadline_s: float, recorder: Recorder, ledger: Ledger) -> None:
        self.label = label
        self.open: dict[int, Write] = {}
        self.acknowledged = 0
        self._deadline_ns = int(deadline_s * clock.S)
        self._recorder = recorder
        self._ledger = ledger
        self._count = 0
        self._decided: dict[int, bool] = {}
        self._due: dict[int, int] = {}
        self._next = 1
        self._streak = 0
        self._since_ns: int | None = None
        self._node: str | None = None
        self._last_ns: int | None = None

    def begin(self, due_ns: int) -> Write:
        """A write is due, whether or not anybody can send it."""
        self._count += 1
        write = Write(self._count, due_ns, due_ns + self._deadline_ns)
        self.open[write.id] = write
        self._ledger.add_due(due_ns)
        return write

    def sending(self, write: Write, client: int, node: str | None) -> None:
        """An attempt begins now."""
        now_ns = clock.now_ns()
        write.attempt += 1
        write.attempt_ns = now_ns
        write.client, write.node = client, node
        if write.sent_ns is None:
            write.sent_ns = now_ns
            self._ledger.add_sent(write.due_ns, now_ns)

    def again(self, write: Write, outcome: str, why: str) -> None:
        """The attempt came to nothing, and another one follows or may follow."""
        write.tried.append([write.attempt, write.node, write.attempt_ns, outcome, why])
        write.why = why
        if outcome == "info":
            write.doubts += 1
            write.doubt = why

    def late(self, write: Write) -> None:
        """Its deadline has passed; it goes on, but it will not have been acknowledged in time."""
        write.expired = True
        self._decide(write, False)

    def finish(self, write: Write, outcome: str, why: str = "") -> None:
        """What became of it; the second call for a write says nothing. A doubt about an earlier attempt stays."""
        if write.done:
            return
        now_ns = clock.now_ns()
        write.done = True
        write.flying = None
        if outcome == "fail" and write.doubts:
            outcome, why = "info", write.doubt
        if write.tried and write.tried[-1][0] == write.attempt:
            write.tried.pop()  # it was the last one after all
        self.open.pop(write.id, None)
        if outcome == "ok":
            self.acknowledged += 1
            self._node, self._last_ns = write.node, now_ns
        self._decide(write, outcome == "ok" and now_ns <= write.deadline_ns)
        self._recorder.record(
            "write",
            now_ns,
            route=self.label,
            client=write.client,
            id=write.id,
            due_ns=write.due_ns,
            sent_ns=write.sent_ns,
            node=write.node,
            outcome=outcome,
            why=why,
            attempt=max(1, write.attempt),
            timeline=write.timeline,
            lsn=write.lsn,
            warned=write.warned,
            tried=write.tried,
        )
        self._ledger.add_done(now_ns)

    def _decide(self, write: Write, in_time: bool) -> None:
        """Count the streak in order of due instants: what is not decided yet holds up those behind it."""
        if write.id < self._next or write.id in self._decided:
            return
        self._decided[write.id] = in_time
        self._due[write.id] = write.due_ns
        while self._next in self._decided:
            due_ns = self._due.pop(self._next)
            if not self._decided.pop(self._next):
                self._streak, self._since_ns = 0, None
            else:
                self._streak += 1
                self._since_ns = due_ns if self._streak == 1 else self._since_ns
            self._next += 1

    def status(self) -> dict[str, Any]:
        """Acknowledgements so far; the streak of writes acknowledged in time, and whose they are."""
        return {
            "acknowledged": self.acknowledged,
            "streak": self._streak,
            "since_ns": self._since_ns or 0,
            "node": self._node,
            "last_ns": self._last_ns,
        }

    def end(self) -> None:
        """Record what is open."""
        for write in list(self.open.values()):
            unknown = write.flying is not None or write.doubts
            self.finish(write, "info" if unknown else "fail", "ended")
