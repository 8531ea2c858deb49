"""What really happened to the database: who led on which timeline when, who was promoted, and what struck it.

First comes what each server's supervisor recorded of its own server. A supervisor that was killed or paused with its
server says nothing: from the fault's late edge on its server is down or (paused) nobody knows, until it speaks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from lab.checkers.remembered import remembered
from lab.checkers.truth import Interval, Ref, S, Truth, truth_of
from lab.history import Event, History

LEADS = frozenset({"primary", "read_only"})
"""States of a server that is out of recovery."""
UNKNOWN = "unknown"
_PAUSES = frozenset({"pause"})
_SPARES_SUPERVISOR = frozenset({"crash_postmaster", "crash_manager"})
DROPS = frozenset({"power_loss", "partition", "site_loss", "vanish"})
"""Faults under which packets get no answer, so that TCP sends them again and again."""


_NOUNS = {
    "crash_manager": "crash of the manager on",
    "crash_postmaster": "crash of the postmaster on",
    "switchover": "switchover from",
    "reject": "rejecting by",
    "site_loss": "loss of the site of",
    "replication_lag": "lag on",
}


class Condition(NamedTuple):
    """What a server was from an instant on."""

    after_ns: int
    before_ns: int
    state: str
    timeline: int
    upstream: str | None
    receiving: bool
    sync: int
    lsn: int | None
    ref: Ref

    @property
    def middle_ns(self) -> int:
        return (self.after_ns + self.before_ns) // 2


@dataclass(frozen=True, slots=True)
class Promotion:
    """A standby left recovery on a timeline of its own."""

    node: str
    timeline: int
    at: Interval
    lsn: int | None
    """Where its WAL stood then: the fork, and at most what it wrote in the poll since."""
    ref: Ref

    @property
    def width_s(self) -> float:
        """How well the instant is known."""
        return (self.at.before_ns - self.at.after_ns) / S


@dataclass(frozen=True, slots=True)
class Blow:
    """One strike that took effect."""

    strike: int
    fault: str
    node: str
    at: Interval
    heal: Interval
    """When it was healed; the start of the heal where nothing had to be undone."""
    until_ns: int
    """The next strike, or the load's end."""
    ref: Ref
    also: tuple[str, ...] = ()
    drops: bool = False
    """Whether it dropped packets on the clients' path."""

    @property
    def key(self) -> str:
        """ "1:postgres1"."""
        return f"{self.strike}:{self.node}"

    @property
    def words(self) -> str:
        """ "the crash of postgres1"."""
        return f"the {_NOUNS.get(self.fault, self.fault.replace('_', ' ') + ' of')} {self.node}"


@dataclass(slots=True)
class Database:
    """The ground truth of one trial about writes."""

    truth: Truth
    servers: tuple[str, ...]
    conditions: dict[str, list[Condition]]
    promotions: tuple[Promotion, ...]
    """Those of this trial, in order."""
    blows: tuple[Blow, ...]
    heal_ns: int
    """When the engine began to heal what was still struck; the load's end where it did not."""

    @property
    def t0_ns(self) -> int:
        """What a report counts from: the first strike, or the end of the baseline where there was none."""
        return self.blows[0].at.middle_ns if self.blows else self.truth.struck_ns

    def since_t0_s(self, t_ns: int) -> float:
        """Seconds since t0."""
        return (t_ns - self.t0_ns) / S

    @property
    def first_leader(self) -> str:
        """Who led before anything was struck; "" where nobody said."""
        before_ns = self.blows[0].at.after_ns - 1 if self.blows else self.truth.struck_ns
        leading = [(c.timeline, node) for node in self.servers if (c := self.at(node, before_ns)) and c.state in LEADS]
        return max(leading)[1] if leading else ""

    def blow_before(self, t_ns: int) -> Blow | None:
        """The last strike before an instant; before all of them the first one."""
        before = [blow for blow in self.blows if blow.at.middle_ns <= t_ns]
        return before[-1] if before else next(iter(self.blows), None)

    def led(self, node: str) -> bool:
        """Whether a server was out of recovery at any time of the trial."""
        return any(condition.state in LEADS for condition in self.conditions.get(node, ()))

    def at(self, node: str, t_ns: int) -> Condition | None:
        """What a server was at an instant; None before its first word."""
        found = None
        for condition in self.conditions.get(node, ()):
            if condition.before_ns > t_ns:
                break
            found = condition
        return found

    def promoted_by(self, t_ns: int) -> Promotion | None:
        """The latest promotion that was certainly over at an instant."""
        over = [one for one in self.promotions if one.at.before_ns < t_ns]
        return over[-1] if over else None

    def leads_again(self, node: str, after_ns: int, until_ns: int) -> Condition | None:
        """The first condition in which a server that had been down is read-write again."""
        was_down = False
        for condition in self.conditions.get(node, ()):
            if condition.before_ns > after_ns and condition.after_ns <= until_ns:
                if was_down and condition.state == "primary":
                    return condition
                was_down = was_down or condition.state == "down"
        return None


@remembered
def database_of(history: History) -> Database:
    """Work out the ground truth of a trial about writes. A history without a plan has no servers."""
    truth = truth_of(history)
    servers = tuple(node["node"] for node in truth.plan.get("nodes", ()) if node.get("role") == "postgres")
    heal_ns = next((start for name, start, _ in truth.phases if name == "heal"), truth.end_ns)
    blows = _blows(history, truth, heal_ns)
    conditions = {node: list(told) for node, told in _told(history, servers, truth.baseline_ns).items()}
    for node, stopped in _stopped_by_fence(history, truth.baseline_ns):
        if node in conditions:
            last = [c for c in conditions[node] if c.before_ns <= stopped.before_ns]
            stopped = stopped._replace(timeline=last[-1].timeline if last else 0)
            conditions[node] = sorted([*conditions[node], stopped], key=lambda c: c.before_ns)
    for blow in blows:
        for node in (blow.node, *blow.also):
            if node in conditions and blow.fault not in _SPARES_SUPERVISOR:
                conditions[node] = _silenced(conditions[node], blow)
    return Database(truth, servers, conditions, tuple(_promotions(conditions, truth)), blows, heal_ns)


def _told(history: History, servers: tuple[str, ...], baseline_ns: int) -> dict[str, list[Condition]]:
    """Each server's own words: from the last one before the baseline on."""
    found: dict[str, list[Condition]] = {node: [] for node in servers}
    for event in history.of("database.state"):
        fields = event.fields
        its = found.setdefault(fields["node"], [])
        after_ns, before_ns = fields.get("after_ns", event.t_ns), fields.get("before_ns", event.t_ns)
        condition = Condition(
            after_ns,
            before_ns,
            str(fields["state"]),
            int(fields.get("timeline") or (its[-1].timeline if its else 0)),
            fields.get("upstream"),
            bool(fields.get("receiving")),
            int(fields.get("sync") or 0),
            fields.get("lsn"),
            event.ref,
        )
        if before_ns < baseline_ns:
            its.clear()
        its.append(condition)
    return found


def _stopped_by_fence(history: History, baseline_ns: int) -> Iterator[tuple[str, Condition]]:
    """Servers that a fence stopped, their supervisors with them."""
    for event in history.of("failover.fenced"):
        if event.fields.get("how") == "stop" and event.t_ns >= baseline_ns:
            edges = (event.fields.get("after_ns", event.t_ns), event.fields.get("before_ns", event.t_ns))
            yield event.fields["node"], Condition(*edges, "down", 0, None, False, 0, None, event.ref)


def _silenced(told: list[Condition], blow: Blow) -> list[Condition]:
    """A server's conditions with what a strike made of it, where its supervisor could not speak."""
    if blow.fault not in _PAUSES and not _leaves_dead(blow):
        return told
    before = [c for c in told if c.before_ns <= blow.at.before_ns]
    # A power loss cuts the network first: what a supervisor still says before it is killed too are its last words.
    dead_until_ns = blow.heal.after_ns if _leaves_dead(blow) else blow.at.before_ns
    later = [c for c in told if c.before_ns > max(dead_until_ns, blow.at.before_ns)]
    last = before[-1] if before else None
    gone = Condition(
        *blow.at,
        UNKNOWN if blow.fault in _PAUSES else "down",
        last.timeline if last else 0,
        None,
        False,
        0,
        None,
        blow.ref,
    )
    made = [*before, gone]
    if blow.fault in _PAUSES and last is not None and not any(c.before_ns <= blow.heal.before_ns for c in later):
        # It goes on where it was; its supervisor speaks only of what changes.
        made.append(last._replace(after_ns=blow.heal.after_ns, before_ns=blow.heal.before_ns))
    return sorted([*made, *later], key=lambda c: c.before_ns)


def _leaves_dead(blow: Blow) -> bool:
    return blow.fault in ("crash", "power_loss", "site_loss", "vanish", "graceful_stop")


def _promotions(conditions: dict[str, list[Condition]], truth: Truth) -> Iterator[Promotion]:
    """Every standby that left recovery since the baseline began, in order."""
    found: list[Promotion] = []
    for node, its in conditions.items():
        for index, condition in enumerate(its[1:], 1):
            before = its[index - 1]
            left_recovery = condition.state in LEADS and before.state not in LEADS
            anew = before.state == "standby" or condition.timeline > before.timeline > 0
            if left_recovery and anew and before.state != UNKNOWN and condition.before_ns >= truth.baseline_ns:
                at = Interval(condition.after_ns, condition.before_ns)
                found.append(Promotion(node, _timeline(its[index:]), at, condition.lsn, condition.ref))
    return iter(sorted(found, key=lambda one: one.at))


def _timeline(its: list[Condition]) -> int:
    """The timeline of a promotion: the control file may tell it a moment later."""
    timeline = its[0].timeline
    for condition in its:
        if condition.state not in LEADS:
            break
        timeline = max(timeline, condition.timeline)
    return timeline


def _blows(history: History, truth: Truth, heal_ns: int) -> tuple[Blow, ...]:
    healed = {event.fields["strike"]: event for event in history.of("fault.healed")}
    found: list[Blow] = []
    for event in history.of("fault.effective"):
        fields = event.fields
        # Who is asked for a switchover may answer when it is over: it strikes when it is asked.
        asked = fields["fault"] == "switchover"
        at = Interval(fields["after_ns"], fields["after_ns"] if asked else fields["before_ns"])
        if at.after_ns >= truth.end_ns:
            continue
        also = tuple(fields.get("also") or (fields.get("evidence") or {}).get("also") or ())
        found.append(
            Blow(
                fields["strike"],
                fields["fault"],
                fields["node"],
                at,
                _heal_of(healed.get(fields["strike"]), heal_ns),
                truth.end_ns,
                event.ref,
                also,
                _drops(fields["fault"], fields.get("evidence") or {}, truth),
            )
        )
    found.sort(key=lambda blow: (blow.at.after_ns, blow.strike))
    return tuple(
        replace(blow, until_ns=min(truth.end_ns, found[index + 1].at.after_ns)) if index + 1 < len(found) else blow
        for index, blow in enumerate(found)
    )


def _heal_of(event: Event | None, heal_ns: int) -> Interval:
    if event is None:
        return Interval(heal_ns, heal_ns)
    return Interval(event.fields.get("after_ns", event.t_ns), event.fields.get("before_ns", event.t_ns))


def _drops(fault: str, evidence: dict[str, object], truth: Truth) -> bool:
    """Whether clients' packets were dropped: not by a cut whose evidence names others only."""
    peers = evidence.get("away_from")
    if fault != "partition" or not isinstance(peers, list | tuple) or not peers:
        return fault in DROPS
    clients = {node["node"] for node in truth.plan.get("nodes", ()) if node.get("role") == "clients"} | {"clients"}
    return bool(clients & {str(peer) for peer in peers})
