"""Where an outage went: first failure -> detected -> (fenced) -> promoted -> writable -> published -> first write.

Each milestone counts as max(previous, own) and none later than the end of the outage, so the steps add up to the
outage exactly. A milestone that nobody recorded is left out: its time falls into the next one that is known. An outage
that never ended is stuck in the first step, by the order of the promise, whose milestone did not come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lab.checkers.database import Blow, Condition, Database, Promotion
from lab.checkers.ledger import RouteLedger, Write
from lab.checkers.outages import Outage
from lab.checkers.truth import S
from lab.history import Event, History
from lab.result import Step, Waterfall

RESTART = "restart in place"
HEALED = "until healed"
CLIENT = "client"
RETRANSMISSION = "client: TCP retransmission"
ORDER = ("detection", "fencing", "promotion", "writable", "publication", "propagation")
"""The steps of a failover before the client's own."""


class Milestone(NamedTuple):
    """What ends a step, and when."""

    step: str
    t_ns: int
    ref: tuple[str, int]


def waterfall(
    history: History, database: Database, ledger: RouteLedger, blow: Blow, outage: Outage | None
) -> Waterfall:
    """One strike as one route met it; `outage` None: no write was unavailable."""
    bound = bound_of(database, blow, ledger.label)
    change = f"{blow.key}@{ledger.label}"
    # Not the middle: a server of thirty processes takes a while to die, and writes fail from the first one on.
    struck_s = database.since_t0_s(blow.at.after_ns)
    before, after = _served(ledger, blow, outage)
    made = Waterfall(
        change,
        ledger.label,
        blow.fault,
        blow.node,
        struck_s,
        None,
        0.0,
        False,
        ledger.resolution_s,
        bound_low_s=bound.get("low_s"),
        bound_high_s=bound.get("high_s"),
        served_before=before,
        served_after=after,
        evidence=[list(blow.ref)],
    )
    until_ns = outage.end_ns if outage else min(blow.heal.after_ns, blow.until_ns)
    promotion = _promotion(database, blow, until_ns, after)
    restart = database.leads_again(before, blow.at.after_ns, until_ns) if promotion is None and before else None
    made.kind = _kind(blow, promotion, restart)
    if outage is None:
        return made
    made.first_failure_s = database.since_t0_s(outage.start_ns)
    made.outage_s = outage.lasts_s
    made.censored = outage.censored
    way = _Way(history, database, ledger, blow, outage)
    if promotion is not None:
        milestones = way.failover(promotion)
    elif restart is not None:
        milestones = [Milestone(RESTART, restart.middle_ns, restart.ref), *way.published(before, restart.after_ns)]
    else:
        milestones = way.no_failover()
    waits_for_packets = blow.drops and ledger.kind != "dns"  # what a client of DNS still waits for is its cache
    made.steps = _steps(database, milestones, outage, waits_for_packets, bound)
    made.evidence += [list(outage.first.ref), *(list(one.ref) for one in milestones)]
    if outage.back is not None:
        made.evidence.append(list(outage.back.ref))
    return made


def bound_of(database: Database, blow: Blow, route: str) -> Mapping[str, Any]:
    """What the settings promise for a strike on a route; {} for nothing."""
    of_fault = database.truth.plan.get("bounds", {}).get(blow.fault, {})
    found: Mapping[str, Any] = of_fault.get(route) or {}
    return found


def _served(ledger: RouteLedger, blow: Blow, outage: Outage | None) -> tuple[str, str]:
    """Who acknowledged last before it, and first after it; of no outage, last while it held."""
    begin_ns = outage.start_ns if outage else blow.at.after_ns
    before = _last(ledger.writes, begin_ns)
    if outage is not None:
        return before, (outage.back.node or "") if outage.back else ""
    return before, _last(ledger.writes, min(blow.heal.after_ns, blow.until_ns))


def _last(writes: list[Write], until_ns: int) -> str:
    done = [write for write in writes if write.acknowledged and write.done_ns <= until_ns and write.node]
    return max(done, key=lambda write: write.done_ns).node or "" if done else ""


def _promotion(database: Database, blow: Blow, until_ns: int, after: str) -> Promotion | None:
    """The promotion of another server that came with this strike: the one that serves afterwards, else the last."""
    old = database.first_leader
    # The first write may be acknowledged before the look that finds the new primary has come back.
    within = [p for p in database.promotions if blow.at.after_ns <= p.at.before_ns and p.at.after_ns <= until_ns]
    known = database.promoted_by(blow.at.after_ns)
    old = known.node if known else old
    others = [one for one in within if one.node != old]
    return next((one for one in reversed(others) if one.node == after), others[-1] if others else None)


def _kind(blow: Blow, promotion: Promotion | None, restart: Condition | None) -> str:
    if promotion is not None:
        return "switchover" if blow.fault == "switchover" else "failover"
    return RESTART if restart is not None else "no failover"


class _Way:
    """Looks up the milestones of one outage."""

    def __init__(self, history: History, database: Database, ledger: RouteLedger, blow: Blow, outage: Outage) -> None:
        self.history, self.database, self.ledger = history, database, ledger
        self.blow, self.outage = blow, outage
        self.since_ns, self.until_ns = blow.at.after_ns, outage.end_ns

    def failover(self, promotion: Promotion) -> list[Milestone]:
        promoted = Milestone("promotion", promotion.at.middle_ns, promotion.ref)
        found = [*self._detected(), *self._fenced(), promoted, *self._writable(promotion)]
        found += self.published(promotion.node, promotion.at.after_ns)
        # It had all been done, and this route came back with the heal: that its clients took so long is not all of it.
        return [*found, *(healed for healed in self._healed() if healed.t_ns > max(one.t_ns for one in found))]

    def no_failover(self) -> list[Milestone]:
        """The fault was healed while nobody could write; or it passed by itself."""
        return self._detected() if self.outage.censored else self._healed()

    def _healed(self) -> list[Milestone]:
        """The heal, where writes came back only with it."""
        heal = self.blow.heal
        if self.outage.censored or not (self.outage.start_ns < heal.before_ns and heal.after_ns <= self.until_ns):
            return []
        return [Milestone(HEALED, min(heal.middle_ns, self.until_ns), self.blow.ref)]

    def _detected(self) -> list[Milestone]:
        """A failover controller says so itself; Patroni's decision is the end of the leader's lease."""
        event = self._first("failover.detected")
        if event is None:
            old = {self.blow.node, *self.blow.also}
            gone = [e for e in self._all("leader.key") if e.fields.get("leader") is None]
            taken = [e for e in self._all("leader.key") if e.fields.get("leader") not in (None, *old)]
            event = next(iter(gone or taken), None)
        return [] if event is None else [Milestone("detection", event.t_ns, event.ref)]

    def _fenced(self) -> list[Milestone]:
        event = self._first("failover.fenced")
        if event is None:
            return []
        edges = [event.fields.get(name, event.t_ns) for name in ("after_ns", "before_ns")]
        return [Milestone("fencing", sum(edges) // 2, event.ref)]

    def _writable(self, promotion: Promotion) -> list[Milestone]:
        """Read-write and, where commits wait for standbys, with as many of them attached as it waits for."""
        for condition in self.database.conditions.get(promotion.node, ()):
            if condition.before_ns < promotion.at.before_ns or condition.after_ns > self.until_ns:
                continue
            if condition.state == "primary" and condition.sync >= self._waits_for(condition.before_ns):
                return [Milestone("writable", condition.middle_ns, condition.ref)]
        return []

    def _waits_for(self, t_ns: int) -> int:
        """Standbys that a commit waits for: as set, or what the controller brought it down to by then.

        Patroni promotes with none, and waits for standbys only from when it has seen them stream.
        """
        of_systems = self.database.truth.plan.get("settings", {})
        settings = of_systems.get("postgres", {})
        if settings.get("replication") != "sync" or "patroni" in of_systems:
            return 0
        fewer = [e.fields.get("sync_standbys", 0) for e in self._all("failover.degraded") if e.t_ns <= t_ns]
        return int(fewer[-1]) if fewer else int(settings.get("sync_standbys", 1))

    def published(self, node: str, after_ns: int) -> list[Milestone]:
        """When this route's directory said so, and when that had spread; nothing where there is none."""
        kind, found = self.ledger.kind, list[Milestone]()
        if kind == "haproxy":
            # Patroni's REST API says "primary" from the lock on, so HAProxy may know before the server is promoted.
            told = [e for e in self._all("proxy.state") if e.fields["node"] == node and e.fields.get("up")]
            after_ns = self.since_ns
        else:
            server = {"dns": "ns1", "zookeeper": "zookeeper"}.get(kind, "")
            told = [
                e
                for e in self._all("registry.published")
                if e.fields["node"] == node and e.fields.get("present", True) and e.fields.get("server") == server
            ]
        for event in [e for e in told if e.t_ns >= after_ns][:1]:
            found.append(Milestone("publication", event.t_ns, event.ref))
        for event in [e for e in self._learned(node) if e.t_ns >= after_ns][:1]:
            found.append(Milestone("propagation", event.t_ns, event.ref))
        return found

    def _learned(self, node: str) -> list[Event]:
        """When what was published had reached those whom clients ask, or who are told: the second name server, which
        answers as the first one does; a watcher of the znode. Caches after that are the client's own.
        """
        if self.ledger.kind == "dns":
            told = [e for e in self._all("registry.propagated") if e.fields.get("present", True)]
            return [e for e in told if e.fields["node"] == node]
        if self.ledger.kind == "zookeeper":
            told = [e for e in self._all("route.learned") if e.fields["route"] == self.ledger.label]
            return [e for e in told if e.fields["node"] == node]
        return []

    def _first(self, kind: str) -> Event | None:
        return next(iter(self._all(kind)), None)

    def _all(self, kind: str) -> list[Event]:
        return [event for event in self.history.of(kind) if self.since_ns <= event.t_ns <= self.until_ns]


def _steps(
    database: Database, milestones: list[Milestone], outage: Outage, waits_for_packets: bool, bound: Mapping[str, Any]
) -> list[Step]:
    promised = {phase["name"]: phase for phase in bound.get("phases", ())}
    names = [one.step for one in milestones]
    last = _stuck(names, list(promised)) if outage.censored else CLIENT
    if last == CLIENT and waits_for_packets and any(name in ("promotion", "writable", HEALED) for name in names):
        last = RETRANSMISSION
    steps: list[Step] = []
    at_ns = outage.start_ns
    for name, t_ns in [*((one.step, one.t_ns) for one in milestones), (last, outage.end_ns)]:
        reached_ns = min(max(at_ns, t_ns), outage.end_ns)
        phase = promised.get(name) or promised.get(name.partition(":")[0]) or {}
        steps.append(
            Step(
                name,
                database.since_t0_s(reached_ns),
                (reached_ns - at_ns) / S,
                phase.get("low_s"),
                phase.get("high_s"),
                phase.get("moved_by", ""),
            )
        )
        at_ns = reached_ns
    return steps


def _stuck(reached: list[str], promised: list[str]) -> str:
    """Of an outage that never ended: the first step that was promised and did not come."""
    expected = promised or [name for name in ORDER if name != "fencing"]
    done = max((expected.index(name) for name in reached if name in expected), default=-1)
    return next((name for name in expected[done + 1 :]), CLIENT)
