"""What a change cost: attempts sent to the dead, and intended requests that were lost.

An attempt counts when it was sent after the late edge of a death and before the early edge of the return: then the
node was dead for certain. A request is lost when it was due in a change's window and was not answered in time; it is
charged to the node it last tried, or to the latest change where that node was not struck or none was tried.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.checkers.truth import Change, Life, S, Truth, truth_of
from lab.history import Event, History
from lab.measures import attempts_on_dead, requests_lost
from lab.verdict import Sample, Valid, Verdict

NAME = "harm"
EVIDENCE = 20
"""At most this many requests are cited for a sample."""


@dataclass(slots=True)
class Window:
    """A change that can do harm, and when: from its first sign (a goodbye counts) until its window closes."""

    change: Change
    attempts: int = 0
    lost: int = 0
    tried: list[tuple[str, int]] | None = None
    unanswered: list[tuple[str, int]] | None = None

    def holds(self, t_ns: int) -> bool:
        return self.change.since_ns <= t_ns < self.change.until_ns


def check(history: History) -> Verdict:
    """Two samples a change; unknown where nothing changed or nobody asked for anything."""
    truth = truth_of(history)
    windows = [Window(change) for change in harmful(truth)]
    if not windows:
        return Verdict(NAME, Valid.UNKNOWN, ("nothing changed: there was nothing to be harmed by",))
    ledger = _Ledger(truth, windows)
    requests = 0
    dead = {node: truth.lives[node].dead_spans for node in ledger.struck}
    for event in history.of("request"):  # there may be a million, and nearly all of them did no harm
        requests += 1
        fields = event[4]
        if "tried" in fields or fields["outcome"] != "ok":
            ledger.note(event)
        elif (spans := dead.get(fields["node"])) is not None:
            sent_ns = fields["sent_ns"]
            if any([after_ns < sent_ns < before_ns for after_ns, before_ns in spans]):  # noqa: C419 -- a list is quicker
                ledger.note(event)
    figures = {**ledger.counts, "requests": requests}
    if not requests:
        return Verdict(NAME, Valid.UNKNOWN, ("no request was made: nothing could be lost",), (), figures)
    samples = tuple(sample for window in windows for sample in _samples(window, truth.backends))
    return Verdict(NAME, Valid.YES, (), samples, figures)


def harmful(truth: Truth) -> list[Change]:
    """The changes that harm is charged to: every removal, a goodbye with no end to it, and a first start.

    A goodbye and the return belong to their removal, so that a figure "per change" is one per strike.
    """
    removed = {change.node for change in truth.changes if change.what == "removal"}
    return [change for change in truth.changes if change.what == "removal" or change.node not in removed]


class _Ledger:
    def __init__(self, truth: Truth, windows: list[Window]) -> None:
        self.lives: dict[str, Life] = truth.lives
        self.windows = windows
        self.struck = frozenset(window.change.node for window in windows)
        self.starts = [window.change.since_ns for window in sorted(windows, key=_since)]
        self.by_start = sorted(windows, key=_since)
        self.of_node = {node: [w for w in self.by_start if w.change.node == node] for node in self.struck}
        self.end_ns = truth.end_ns
        self.deadline_ns = int(float(truth.plan.get("deadline_s", 0.0)) * S)
        self.counts: Counter[str] = Counter(lost_outside_changes=0, ended_before_their_deadline=0)

    def note(self, event: Event) -> None:
        fields = event.fields
        for node, sent_ns in attempts(fields):
            if node in self.struck and self.lives[node].dead_at(sent_ns):
                window = next((w for w in self.of_node[node] if w.holds(sent_ns)), None)
                if window is not None:
                    window.attempts += 1
                    window.tried = _cite(window.tried, event)
        if fields["outcome"] == "ok":
            return
        if fields.get("why") == "ended" and event.t_ns < fields["due_ns"] + self.deadline_ns:
            self.counts["ended_before_their_deadline"] += 1  # the load ended first: nobody knows
            return
        window = self.charged(fields["node"], fields["due_ns"])
        if window is None:
            self.counts["lost_outside_changes"] += 1
        else:
            window.lost += 1
            window.unanswered = _cite(window.unanswered, event)

    def charged(self, node: str | None, due_ns: int) -> Window | None:
        """The window a lost request is charged to."""
        own = next((w for w in self.of_node.get(node or "", ()) if w.holds(due_ns)), None)
        if own is not None:
            return own
        before = self.by_start[: bisect_right(self.starts, due_ns)]
        return next((window for window in reversed(before) if window.holds(due_ns)), None)


def attempts(fields: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """(node, sent_ns) of every attempt of a request event."""
    earlier = fields.get("tried") or ()
    last_ns = fields.get("last_sent_ns", fields["sent_ns"])
    for node, sent_ns, *_ in earlier:
        yield node, sent_ns
    if fields["node"] is not None and last_ns is not None:
        yield fields["node"], last_ns


def _since(window: Window) -> int:
    return window.change.since_ns


def _cite(cited: list[tuple[str, int]] | None, event: Event) -> list[tuple[str, int]]:
    cited = cited or []
    if len(cited) < EVIDENCE:
        cited.append(event.ref)
    return cited


def _samples(window: Window, backends: frozenset[str]) -> Iterator[Sample]:
    """What was lost; and attempts, where the node could be called at all: a name server is in no view."""
    change = window.change
    could_be_called = change.what == "removal" and change.node in backends
    counts = (
        (attempts_on_dead.name, window.attempts, window.tried),
        (requests_lost.name, window.lost, window.unanswered),
    )
    for name, count, cited in counts:
        if name == requests_lost.name or could_be_called:
            yield Sample(name, change.key, float(count), width_s=0.0, evidence=(change.ref, *(cited or ())))
