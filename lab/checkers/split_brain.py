"""Two primaries that acknowledge: writes that another server acknowledged after a new primary was promoted.

A write counts when its acknowledgement came after the late edge of the newest promotion before it, from a server other
than the one that was promoted. Without a promotion there was no second primary, and nothing is said; nor is it of a
route on which nobody wanted to write after one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lab.checkers.database import Database, Promotion, database_of
from lab.checkers.ledger import RouteLedger, Write, ledgers_of
from lab.checkers.losses import after_strike, between
from lab.checkers.truth import Ref, S
from lab.history import History
from lab.measures import split_brain_s, split_brain_writes
from lab.verdict import Sample, Valid, Verdict

NAME = "split_brain"
EVIDENCE = 20


@dataclass(slots=True)
class RouteSplit:
    """One route after a promotion."""

    ledger: RouteLedger
    losing: list[Write] = field(default_factory=list)
    """Acknowledged by another server than the newest primary, in the order of acknowledgements."""
    by_node: Counter[str] = field(default_factory=Counter)
    """Acknowledgements after the promotion, by every server."""
    exposed: bool = False
    """Whether a write was due after a promotion."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A server that was fenced, from when on for certain, and until when."""

    node: str
    how: str
    before_ns: int
    until_ns: int
    ref: Ref


def check(history: History) -> Verdict:
    """One sample a route and one a trial; no where a losing primary acknowledged, unknown without a promotion."""
    database = database_of(history)
    if not database.promotions:
        return Verdict(NAME, Valid.UNKNOWN, ("nobody was promoted: there was never a second primary",))
    splits = splits_of(history, database)
    if not any(split.exposed for split in splits):
        return Verdict(NAME, Valid.UNKNOWN, ("no write was due after a promotion: a claim about nothing",))
    by_node: Counter[str] = Counter()
    for split in splits:
        by_node.update(split.by_node)
    losing = sorted((w for split in splits for w in split.losing), key=lambda write: write.done_ns)
    fenced = after_fences(fences_of(history, database), splits)
    figures = {
        "acknowledged_after_promotion": dict(sorted(by_node.items())),
        "acknowledged_after_promotion_by_route": {
            split.ledger.label: dict(sorted(split.by_node.items())) for split in splits
        },
        "split_brain_s_by_route": {split.ledger.label: window_s_of(database, split.losing) for split in splits},
        "acknowledged_by_fenced": len(fenced),
    }
    promoted = database.promotions[-1].ref
    samples = [
        Sample(
            split_brain_writes.name,
            "",
            float(len(split.losing)),
            evidence=(promoted, *(write.ref for write in split.losing[:EVIDENCE])),
            route=split.ledger.label,
            why=split_words(database, split),
        )
        for split in splits
        if split.exposed
    ]
    width_s = max(one.width_s for one in database.promotions)
    window_s = window_s_of(database, losing)
    evidence = (promoted, *(write.ref for write in losing[-1:]))
    samples.append(Sample(split_brain_s.name, "", window_s, width_s=width_s if losing else 0.0, evidence=evidence))
    reasons = [f"{len(losing)} writes were acknowledged by a losing primary"] if losing else []
    if fenced:
        reasons.append(f"{len(fenced)} writes were acknowledged by a server that had been fenced")
    return Verdict(NAME, Valid.NO if reasons else Valid.YES, tuple(reasons), tuple(samples), figures)


def splits_of(history: History, database: Database) -> list[RouteSplit]:
    """Every route's acknowledgements after the promotions."""
    found = []
    for ledger in ledgers_of(history).values():
        split = RouteSplit(ledger)
        for write in ledger.writes:
            if write.acknowledged and write.node and (newest := database.promoted_by(write.done_ns)) is not None:
                split.by_node[write.node] += 1
                if write.node != newest.node:
                    split.losing.append(write)
        split.losing.sort(key=lambda write: write.done_ns)
        due_last_ns = ledger.writes[-1].due_ns if ledger.writes else 0
        split.exposed = bool(split.losing) or database.promoted_by(due_last_ns) is not None
        found.append(split)
    return found


def window_s_of(database: Database, losing: list[Write]) -> float:
    """The longest time from a promotion to the last acknowledgement beside the one that it made."""
    windows = [
        (write.done_ns - newest.at.before_ns) / S
        for write in losing
        if (newest := database.promoted_by(write.done_ns)) is not None
    ]
    return max(windows, default=0.0)


def split_words(database: Database, split: RouteSplit) -> str:
    """Who acknowledged beside whom, and when; "" where nobody did."""
    newest = replaced(database, split.losing)
    if newest is None:
        return ""
    by = Counter(write.node or "" for write in split.losing)
    who = " and ".join(f"{node} {count}" for node, count in by.most_common())
    when = between(database, split.losing[0].done_ns, split.losing[-1].done_ns)
    return (
        f"Split brain on {split.ledger.label}: after {newest.node} had been promoted "
        f"({after_strike(database, newest.at.middle_ns)}) it acknowledged {split.by_node.get(newest.node, 0)} writes, "
        f"and {who} beside it, {when}"
    )


def replaced(database: Database, losing: list[Write]) -> Promotion | None:
    """The promotion beside which a losing primary acknowledged last."""
    return database.promoted_by(losing[-1].done_ns) if losing else None


def fences_of(history: History, database: Database) -> list[Fence]:
    """Who was fenced; healing undoes it."""
    return [
        Fence(
            event.fields["node"],
            str(event.fields.get("how", "")),
            event.fields.get("before_ns", event.t_ns),
            database.heal_ns,
            event.ref,
        )
        for event in history.of("failover.fenced")
        if event.t_ns >= database.truth.baseline_ns
    ]


def after_fences(fences: list[Fence], splits: list[RouteSplit]) -> list[Write]:
    """Writes that a server acknowledged while it was fenced, also before another one was promoted: there should be
    none."""
    return [
        write
        for split in splits
        for write in split.ledger.writes
        if write.acknowledged and any(f.node == write.node and f.before_ns < write.done_ns < f.until_ns for f in fences)
    ]
