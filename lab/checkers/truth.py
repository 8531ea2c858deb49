"""What really happened in a trial: who served when, what changed at which instant, and which windows belong to it.

The shared ground of the checkers. Everything comes from the history; nothing is assumed of a clock or a configuration.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, NamedTuple

from lab.history import Event, History

S = 1_000_000_000

Ref = tuple[str, int]


class Interval(NamedTuple):
    """An instant that is known to lie between two stamps."""

    after_ns: int
    before_ns: int

    @property
    def middle_ns(self) -> int:
        return (self.after_ns + self.before_ns) // 2


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one node that clients have to learn of, and the window in which they are watched.

    `what` is "removal" (it serves no more), "return" (it serves, anew or again) or "leaving" (it said that it will go).
    """

    key: str
    what: str
    fault: str
    """The word whose bound counts: the fault's name, or "return"."""
    node: str
    after_ns: int
    before_ns: int
    until_ns: int
    """Where its window closes: the node's next change, or the load's end."""
    closed_by: str
    """"return", "removal" or "end"."""
    ref: Ref
    strike: int | None = None
    told_ns: int | None = None
    """Of a removal: when the node said that it will go; None where it went without a word."""

    @property
    def kind(self) -> str:
        """The fault's name, or "return" / "leaving"."""
        return self.fault if self.what == "removal" else self.what

    @property
    def instant_ns(self) -> int:
        """The middle of the interval in which it happened."""
        return (self.after_ns + self.before_ns) // 2

    @property
    def width_s(self) -> float:
        """How wide that interval is."""
        return (self.before_ns - self.after_ns) / S

    @property
    def since_ns(self) -> int:
        """The first sign of it: a goodbye counts for the removal that follows it."""
        return self.after_ns if self.told_ns is None else min(self.told_ns, self.after_ns)


@dataclass(slots=True)
class Life:
    """When one node was dead, and from when on it was leaving."""

    alive_at_start: bool
    deaths: list[tuple[Interval, Interval | None]] = field(default_factory=list)
    """(death, return); None where it stayed dead."""
    goodbyes: list[tuple[int, int]] = field(default_factory=list)
    """[said goodbye, dead or back): both having it in a view and not having it are right then."""
    first_up: Interval | None = None
    """Of a node that was not alive at the start: when it began to serve."""

    def dead_at(self, t_ns: int) -> bool:
        """Whether it was certainly dead: after the late edge of its death, before the early edge of its return."""
        return any(after_ns < t_ns < before_ns for after_ns, before_ns in self.dead_spans)

    @property
    def dead_spans(self) -> list[tuple[float, float]]:
        """The open spans in which it was certainly dead."""
        spans: list[tuple[float, float]] = [
            (death.before_ns, inf if back is None else back.after_ns) for death, back in self.deaths
        ]
        if not self.alive_at_start:
            spans.insert(0, (-inf, inf if self.first_up is None else self.first_up.after_ns))
        return spans

    def serving_at(self, t_ns: int) -> bool:
        """Whether it was certainly alive and not about to leave."""
        if not self.alive_at_start and (self.first_up is None or t_ns <= self.first_up.before_ns):
            return False
        if any(said <= t_ns < gone for said, gone in self.goodbyes):
            return False
        return not any(
            death.after_ns <= t_ns and (back is None or t_ns <= back.before_ns) for death, back in self.deaths
        )

    @property
    def edges_ns(self) -> Iterator[int]:
        """Every instant at which an answer of this life may change."""
        for death, back in self.deaths:
            yield from death
            if back is not None:
                yield from back
        for said, gone in self.goodbyes:
            yield from (said, gone)
        if self.first_up is not None:
            yield from self.first_up


@dataclass(slots=True)
class Truth:
    """The ground truth of one trial."""

    plan: Mapping[str, Any]
    phases: list[tuple[str, int, int]]
    """(engine phase, start, end) in order; an end is the next one's start."""
    end_ns: int
    """The load's end: what comes later is the lab's own tidying."""
    lives: dict[str, Life]
    """Every backend, and every other node that a strike hit."""
    backends: frozenset[str]
    """Every node that can be in a view."""
    changes: tuple[Change, ...]
    """In order of their instants: those that strikes made and the returns from them, not the clean-up's own."""

    @property
    def baseline_ns(self) -> int:
        """Where watching begins."""
        return self.start_of("baseline")

    @property
    def struck_ns(self) -> int:
        """The end of the baseline: until here nothing was touched."""
        baseline = [end for name, _, end in self.phases if name == "baseline"]
        return baseline[0] if baseline else self.start_of("strike")

    @property
    def t0_ns(self) -> int:
        """What a report counts its seconds from: the first change, or the end of the baseline where nothing changed."""
        return self.changes[0].instant_ns if self.changes else self.struck_ns

    def start_of(self, phase: str) -> int:
        """Start of an engine phase; the trial's first stamp where it did not come to it."""
        return next((start for name, start, _ in self.phases if name == phase), self.phases[0][1] if self.phases else 0)

    def serving(self, t_ns: int) -> frozenset[str]:
        """The backends that were certainly alive."""
        return frozenset(node for node in self.backends if self.lives[node].serving_at(t_ns))

    def dead(self, t_ns: int) -> frozenset[str]:
        """The backends that were certainly dead."""
        return frozenset(node for node in self.backends if self.lives[node].dead_at(t_ns))

    def bound(self, change: Change) -> Mapping[str, Any]:
        """The configured bound of a change, {} where there is none: settings promise something of instances only."""
        if change.node not in self.backends:
            return {}
        found: Mapping[str, Any] = self.plan.get("bounds", {}).get(change.fault, {})
        return found

    @property
    def largest_bound_s(self) -> float:
        """The largest configured bound, of any route; 0 where there is none."""
        bounds = self.plan.get("bounds", {}).values()
        flat = [one for bound in bounds for one in ([bound] if "high_s" in bound else bound.values())]
        return max((one["high_s"] for one in flat), default=0.0)


def truth_of(history: History) -> Truth:
    """Work out the ground truth of a trial. A history without a plan has no nodes and no changes."""
    plan = history.plan
    phases = _phases(history)
    baseline_ns = next((start for name, start, _ in phases if name == "baseline"), 0)
    heal_ns = next((start for name, start, _ in phases if name == "heal"), None)
    end_ns = _load_end(history, phases)
    told: dict[str, list[Event]] = defaultdict(list)
    for event in history.of(*_EDGES):
        at_ns = event.fields.get("after_ns", event.t_ns)
        if at_ns >= baseline_ns:  # what is older belongs to the reset before this trial
            told[event.fields["node"]].append(event)
    expected = frozenset(plan.get("expected", ()))
    backends = expected | {node["node"] for node in plan.get("nodes", ()) if node.get("role") == "backend"}
    lives: dict[str, Life] = {node: Life(node in expected) for node in backends}
    changes: list[Change] = []
    for node, events in told.items():
        # A node of another role is alive unless it is struck; it is in no view, but its end can lose requests.
        teller = _Teller(node, node in expected or node not in lives, sorted(events, key=_at), end_ns)
        lives[node] = teller.life
        changes += teller.tell()
    asked = (c for c in changes if heal_ns is None or c.what == "return" or c.after_ns < heal_ns)
    ordered = sorted(asked, key=lambda change: (change.instant_ns, change.node))
    return Truth(plan, phases, end_ns, lives, backends, _named(c for c in ordered if c.after_ns < end_ns))


_EDGES = ("fault.commanded", "fault.effective", "fault.healed", "instance.up", "instance.leaving", "instance.down")


def _at(event: Event) -> tuple[int, int]:
    return (event.fields.get("after_ns", event.t_ns), _EDGES.index(event.kind))


class _Teller:
    """Tells the life of one node from the events that name it."""

    def __init__(self, node: str, alive: bool, events: list[Event], end_ns: int) -> None:
        self.node, self.alive, self.events, self.end_ns = node, alive, events, end_ns
        self.life = Life(alive)
        self.goodbye: Event | None = None
        self.changes: list[Change] = []

    def tell(self) -> list[Change]:
        for index, event in enumerate(self.events):
            later = self.events[index + 1 :]
            if event.kind == "instance.leaving" and self.alive and self.goodbye is None:
                self.goodbye = event
            elif event.kind == "instance.down" and self.alive:
                self._dies(event, Interval(event.t_ns, event.t_ns), later)
            elif event.kind == "fault.effective" and self.alive:
                edges = Interval(event.fields["after_ns"], event.fields["before_ns"])
                if self._ends_here(event, edges, later):
                    self._dies(event, edges, later)
            elif event.kind == "instance.up" and not self.alive:
                self._returns(event, Interval(event.t_ns, event.t_ns), later)
            elif event.kind == "fault.healed" and not self.alive and not _comes_up(later):
                self._returns(event, Interval(event.fields["after_ns"], event.fields["before_ns"]), later)
        if self.goodbye is not None:
            self.life.goodbyes.append((self.goodbye.t_ns, self.end_ns))
            self._note_goodbye(self.goodbye, self.events)
        return self.changes

    def _ends_here(self, event: Event, edges: Interval, later: list[Event]) -> bool:
        """Whether this strike's own edges date the death: not where the server's own last word falls inside them."""
        if any(e.kind == "instance.down" and e.t_ns <= edges.before_ns for e in later):
            return False
        # A strike that leaves a living node alive killed it only if it comes up again: a restart by SIGKILL.
        return event.fields.get("leaves") == "dead" or (self.alive and _comes_up(later))

    def _dies(self, event: Event, edges: Interval, later: list[Event]) -> None:
        self.alive = False
        goodbye, self.goodbye = self.goodbye, None
        if goodbye is not None:
            self.life.goodbyes.append((goodbye.t_ns, edges.after_ns))
            self._note_goodbye(goodbye, later)
        self.life.deaths.append((edges, None))
        until_ns, closed_by = self._window(later)
        told_ns = None if goodbye is None else goodbye.t_ns
        fault, number = self._striker(edges.after_ns)
        self.changes.append(
            Change("", "removal", fault, self.node, *edges, until_ns, closed_by, event.ref, number, told_ns)
        )

    def _note_goodbye(self, event: Event, later: list[Event]) -> None:
        until_ns, closed_by = self._window([e for e in later if e.t_ns > event.t_ns])
        at_ns = event.t_ns
        fault, number = self._striker(at_ns)
        self.changes.append(
            Change("", "leaving", fault, self.node, at_ns, at_ns, until_ns, closed_by, event.ref, number)
        )

    def _returns(self, event: Event, edges: Interval, later: list[Event]) -> None:
        self.alive = True
        if self.life.deaths:
            self.life.deaths[-1] = (self.life.deaths[-1][0], edges)
        else:
            self.life.first_up = edges
        gone = ("instance.leaving", "instance.down")
        until_ns = min(
            (_at(e)[0] for e in later if e.kind in gone or e.fields.get("leaves") == "dead"), default=self.end_ns
        )
        closed_by = "end" if until_ns >= self.end_ns else "removal"
        until_ns = min(until_ns, self.end_ns)
        _, number = self._striker(edges.after_ns)
        self.changes.append(Change("", "return", "return", self.node, *edges, until_ns, closed_by, event.ref, number))

    def _window(self, later: list[Event]) -> tuple[int, str]:
        back_ns = min((_at(e)[0] for e in later if e.kind in ("instance.up", "fault.healed")), default=self.end_ns)
        return (back_ns, "return") if back_ns < self.end_ns else (self.end_ns, "end")

    def _striker(self, t_ns: int) -> tuple[str, int | None]:
        """(fault, strike) behind what happened at an instant: the strike it fell into, else the last one before."""
        found: Event | None = None
        for event in self.events:
            if event.kind == "fault.effective" and event.fields["after_ns"] <= t_ns <= event.fields["before_ns"]:
                found = event
                break
            if event.kind == "fault.commanded" and event.t_ns <= t_ns:
                found = event
        return (str(found.fields["fault"]), found.fields.get("strike")) if found else ("down", None)


def _comes_up(later: list[Event]) -> bool:
    """Whether the node comes up again before its next death."""
    for event in later:
        if event.kind == "instance.up":
            return True
        if event.kind == "instance.down" or (event.kind == "fault.effective" and event.fields.get("leaves") == "dead"):
            return False
    return False


def _named(changes: Iterator[Change]) -> tuple[Change, ...]:
    """Give every change its key: "2:backend5", "return:backend5", "leaving:backend5"; a second one gets "#2"."""
    seen: dict[str, int] = defaultdict(int)
    named = []
    for change in changes:
        front = change.what if change.what != "removal" else change.strike if change.strike is not None else "down"
        base = f"{front}:{change.node}"
        seen[base] += 1
        key = base if seen[base] == 1 else f"{base}#{seen[base]}"
        named.append(replace(change, key=key))
    return tuple(named)


def _phases(history: History) -> list[tuple[str, int, int]]:
    starts = [(str(event.fields["name"]), event.t_ns) for event in history.of("phase")]
    last_ns = max((event.t_ns for event in history.events[-1:]), default=0)
    ends = [start for _, start in starts[1:]] + [max(last_ns, starts[-1][1])] if starts else []
    return [(name, start, end) for (name, start), end in zip(starts, ends, strict=True)]


def _load_end(history: History, phases: list[tuple[str, int, int]]) -> int:
    """The final phase asks the load to end; without one, its own word; without that, the last stamp."""
    for name, start, _ in phases:
        if name == "final":
            return start
    ended = [event.t_ns for event in history.of("load.end")]
    if ended:
        return ended[0]
    return history.events[-1].t_ns if len(history) else 0
