"""Every database server over a trial: what it was, how many writes it acknowledged a second, what happened to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from lab.checkers.database import UNKNOWN, Database, database_of
from lab.checkers.ledger import ledgers_of
from lab.checkers.truth import S
from lab.history import Event, History
from lab.result import Lane

_MARKS = {
    "failover.detected": "detected",
    "failover.fencing": "fencing",
    "failover.fenced": "fenced",
    "failover.fence_failed": "fence failed",
    "failover.chosen": "chosen",
}


def lanes(history: History) -> list[Lane]:
    """One lane a server, in order; seconds count from t0."""
    database = database_of(history)
    per_second: dict[str, Counter[int]] = {node: Counter() for node in database.servers}
    for ledger in ledgers_of(history).values():
        for write in ledger.writes:
            if write.acknowledged and write.node in per_second:
                per_second[write.node][(write.done_ns - database.t0_ns) // S] += 1
    marks: dict[str, list[tuple[float, str]]] = {node: [] for node in database.servers}
    for node, at_ns, words in _marks(history, database):
        if node in marks:
            marks[node].append((database.since_t0_s(at_ns), words))
    return [
        Lane(
            node,
            [[float(second), float(per_second[node][second])] for second in sorted(per_second[node])],
            list(_spans(database, node)),
            [[at_s, words] for at_s, words in sorted(marks[node])],
        )
        for node in database.servers
    ]


def _spans(database: Database, node: str) -> Iterator[list[Any]]:
    """[from_s, to_s, state, timeline] from the baseline to the load's end; where nobody knows, there is no span."""
    last: list[Any] = []
    for span in _pieces(database, node):
        if last and last[1] == span[0] and last[2:] == span[2:]:
            last[1] = span[1]
            continue
        if last:
            yield last
        last = span
    if last:
        yield last


def _pieces(database: Database, node: str) -> Iterator[list[Any]]:
    """A span for every condition, though it may be what the one before was."""
    begin_ns, end_ns = database.truth.baseline_ns, database.truth.end_ns
    its = database.conditions.get(node, [])
    for index, condition in enumerate(its):
        until_ns = its[index + 1].middle_ns if index + 1 < len(its) else end_ns
        from_ns, to_ns = max(condition.middle_ns, begin_ns), min(until_ns, end_ns)
        if to_ns <= from_ns or condition.state == UNKNOWN:
            continue
        yield [database.since_t0_s(from_ns), database.since_t0_s(to_ns), condition.state, condition.timeline]


def _marks(history: History, database: Database) -> Iterator[tuple[str, int, str]]:
    """(server, when, what) of everything that happened to one."""
    for blow in database.blows:
        for node in (blow.node, *blow.also):
            yield node, blow.at.middle_ns, blow.fault.replace("_", " ")
            if blow.heal.after_ns < database.truth.end_ns:
                yield node, blow.heal.middle_ns, "healed"
    for promotion in database.promotions:
        yield promotion.node, promotion.at.middle_ns, "promoted"
    holder = database.first_leader
    for event in history.of("leader.key", *_MARKS):
        if not database.truth.baseline_ns <= event.t_ns < database.truth.end_ns:
            continue
        if event.kind != "leader.key":
            yield event.fields["node"], _at(event), _MARKS[event.kind]
            continue
        leader = event.fields.get("leader")
        if leader != holder:
            yield (holder, event.t_ns, "lease over") if leader is None else (leader, event.t_ns, "lease taken")
        holder = leader or holder


def _at(event: Event) -> int:
    after_ns, before_ns = event.fields.get("after_ns", event.t_ns), event.fields.get("before_ns", event.t_ns)
    return int(after_ns + before_ns) // 2
