"""When the lab itself could not see: stalls of its writers, and how late their ticks came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lab.checkers.truth import S
from lab.history import History

BUCKETS = 25
"""Of lateness: bucket i counts what is below 0.1 ms * 2**(i / 2); the last one takes all that is larger."""


class Stall(NamedTuple):
    """A writer saw nothing between two stamps."""

    writer: str
    after_ns: int
    before_ns: int
    late_ns: int
    ref: tuple[str, int]

    def overlaps(self, after_ns: int, before_ns: int) -> bool:
        return self.after_ns < before_ns and after_ns < self.before_ns


def stalls_of(history: History) -> list[Stall]:
    """Every stall that a writer of the lab noted."""
    found = []
    for event in history.of("stall"):
        after_ns, before_ns = event.fields["after_ns"], event.fields["before_ns"]
        late_ns = event.fields.get("late_ns", before_ns - after_ns)
        found.append(Stall(event.writer, after_ns, before_ns, late_ns, event.ref))
    return found


def blind_s(stalls: Iterable[Stall], writers: frozenset[str], after_ns: int, before_ns: int) -> float:
    """Seconds of the stalls of some writers that overlap an interval, each in full: what they saw may be that late."""
    return sum(
        (stall.before_ns - stall.after_ns) / S
        for stall in stalls
        if stall.writer in writers and stall.overlaps(after_ns, before_ns)
    )


def lateness_p99_ms(buckets: Sequence[int]) -> float | None:
    """An upper edge of the 99th percentile of lateness; None of no ticks."""
    ticks = sum(buckets)
    if not ticks:
        return None
    seen = 0
    for index, count in enumerate(buckets):
        seen += count
        if seen >= 0.99 * ticks:
            return float(0.1 * 2 ** (index / 2))
    raise AssertionError("a share of a sum is below the sum")


def lateness_of(history: History, after_ns: int, before_ns: int) -> dict[str, list[int]]:
    """Buckets of tick lateness between two stamps: of the clients, of the observer, and of all agents together."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0] * BUCKETS)
    for event in history.of("lag"):
        if after_ns <= event.t_ns <= before_ns:
            total = totals[event.writer.split("/")[0]]
            for index, count in enumerate(event.fields["buckets"][:BUCKETS]):
                total[index] += count
    return dict(totals)
