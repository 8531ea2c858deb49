"""Hand-made trials about writes to a database: a whole valid one that a test spoils in one place.

    tale = WritesTale(routes=("multi_host", "dns"))
    tale.strike("crash", "postgres1", 6.0).fail(6.0, 7.2)
    tale.failover("detected", 6.6, node="postgres1").promote("postgres2", 6.8)
    tale.lose("multi_host", 5.95, 6.0)
    verdict = accounts.check(tale.history())

All times are seconds after the start of the baseline. What a test does not say is filled in: plan, phases, states of
the servers, an even load of writes that the server in charge acknowledges, and the rows that are there at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from lab.testing import PHASES, S, Tale, ns

Line = tuple[str, str, int, dict[str, Any]]

FAILOVER_BOUND: Mapping[str, Any] = {
    "low_s": 0.5,
    "high_s": 3.2,
    "mean_s": 1.5,
    "phases": [
        {"name": "detection", "low_s": 0.5, "high_s": 1.0, "mean_s": 0.7, "moved_by": "check_interval_s (0.25)"},
        {"name": "promotion", "low_s": 0.0, "high_s": 0.2, "mean_s": 0.1, "moved_by": ""},
        {"name": "writable", "low_s": 0.0, "high_s": 0.0, "mean_s": 0.0, "moved_by": ""},
        {"name": "client", "low_s": 0.0, "high_s": 2.0, "mean_s": 0.7, "moved_by": "connect_timeout_s (2)"},
    ],
}


def lsn_at(at_s: float) -> int:
    """The made-up place in the WAL at a time: a thousand bytes a second, the same on every timeline."""
    return 0x3000000 + round(at_s * 1000)


@dataclass
class WritesTale(Tale):
    """One made-up trial about writes. Every verb adds something; `history` fills in the rest."""

    arm: str = "async"
    instances: int = 3
    """Servers: postgres1 leads, the others stream from it."""
    clients: int = 0
    rate_per_s: float = 100.0
    """Writes a second of all routes together, evenly."""
    routes: Sequence[str | Mapping[str, Any]] = ("multi_host",)
    """Labels (then the kind is the label's first word), or {label, kind, settings}."""
    first_views: bool = False
    phases: dict[str, float] = field(default_factory=lambda: dict(PHASES))
    bounds: dict[str, Any] = field(default_factory=dict)
    """{fault: {route: bound}}; empty: every route of every strike gets FAILOVER_BOUND."""
    settings: dict[str, Any] = field(default_factory=lambda: {"postgres": {"replication": "async", "sync_standbys": 1}})
    states: bool = True
    """Whether the servers' first states are told."""
    final_rows: bool = True
    """Whether every server's rows are read at the end."""
    _failing: list[tuple[float, float, str, dict[str, Any]]] = field(default_factory=list)
    _serving: list[tuple[float, float, str, str, int, dict[str, Any]]] = field(default_factory=list)
    _lost: list[tuple[float, float, str]] = field(default_factory=list)
    _kept: list[tuple[float, float, str]] = field(default_factory=list)
    _repeated: dict[str, list[list[int]]] = field(default_factory=dict)
    _own: list[tuple[str, float, str, float, float, int, tuple[str, ...]]] = field(default_factory=list)
    _led: list[tuple[float, str, int]] = field(default_factory=list)
    _streaming: list[tuple[float, str, int]] = field(default_factory=list)

    @property
    def nodes(self) -> list[str]:
        """postgres1 .. postgresN."""
        return [f"postgres{number}" for number in range(1, self.instances + 1)]

    @property
    def expected(self) -> list[str]:
        """There are no instances to list."""
        return []

    @property
    def described(self) -> list[dict[str, Any]]:
        """The routes as the plan and load.begin tell them."""
        found = []
        for route in self.routes:
            plain: dict[str, Any] = {"label": route, "kind": str(route).split(" ")[0]}
            given = plain if isinstance(route, str) else dict(route)
            given["settings"] = {"deadline_s": self.deadline_s, **given.get("settings", {})}
            found.append(given)
        return found

    @property
    def labels(self) -> list[str]:
        """The routes' labels."""
        return [str(route["label"]) for route in self.described]

    # -- what servers and managers tell --------------------------------------------------------------------------------

    def state(
        self, node: str, at_s: float, state: str, timeline: int = 1, *, width_s: float = 0.0, **more: Any
    ) -> Self:
        """A server's own account of itself changed, in the middle of `width_s`."""
        about: dict[str, Any] = {
            "node": node,
            "incarnation": 1,
            "state": state,
            "timeline": timeline,
            "lsn": lsn_at(at_s),
            "upstream": None,
            "receiving": False,
            "sync": 0,
            "after_ns": ns(at_s - width_s / 2),
            "before_ns": ns(at_s + width_s / 2),
        }
        return self.tell(f"database/{node}", "database.state", at_s + width_s / 2, **{**about, **more})

    def promote(
        self, node: str, at_s: float, timeline: int = 2, *, width_s: float = 0.005, serves: bool = True, **more: Any
    ) -> Self:
        """A standby became the primary; unless told otherwise it acknowledges every route's writes from then on."""
        self.state(node, at_s, "primary", timeline, width_s=width_s, **more)
        self._led.append((at_s, node, timeline))
        if serves:
            self.serve(node, at_s, timeline)
        return self

    def serve(
        self, node: str, after_s: float, timeline: int = 1, *, until_s: float = 1e9, route: str = "", **more: Any
    ) -> Self:
        """From then on this server acknowledges (one route's, or every) writes; `more` goes into their lines."""
        self._serving.append((after_s, until_s, route, node, timeline, more))
        return self

    def failover(self, step: str, at_s: float, **fields: Any) -> Self:
        """`step`: detected, fencing, fenced, chosen, promoting, promoted, ..."""
        if step == "fenced":
            fields = {"after_ns": ns(at_s), "before_ns": ns(at_s), **fields}
        return self.tell("controller", f"failover.{step}", at_s, **fields)

    def key(self, leader: str | None, at_s: float) -> Self:
        """ZooKeeper shows who holds Patroni's leader key."""
        return self.tell("watcher", "leader.key", at_s, leader=leader, session="0x1")

    def published(self, node: str, at_s: float, server: str = "ns1") -> Self:
        """The registrar has published the primary."""
        about = {"service": "primary", "node": node, "present": True, "server": server, "timeline": 2}
        return self.tell("registrar", "registry.published", at_s, **about)

    def learned(self, route: str, node: str, at_s: float) -> Self:
        """New connections of a route go there from now on."""
        return self.tell("clients", "route.learned", at_s, route=route, node=node)

    def proxied(self, node: str, at_s: float, *, up: bool = True) -> Self:
        """HAProxy's check changed its mind."""
        return self.tell("haproxy", "proxy.state", at_s, node=node, up=up, line="")

    def standby(self, node: str, at_s: float, upstream: str, timeline: int = 2) -> Self:
        """A server streams from another one (again)."""
        self.state(node, at_s, "standby", timeline, upstream=upstream, receiving=True)
        self._streaming.append((at_s, node, timeline))
        return self

    # -- what clients tell ---------------------------------------------------------------------------------------------

    def fail(self, after_s: float, until_s: float, *, route: str = "", outcome: str = "info", **more: Any) -> Self:
        """Writes due in this span are not acknowledged: they end at their deadline, or after `took_s`."""
        self._failing.append((after_s, until_s, route, {"outcome": outcome, **more}))
        return self

    def hang(self, after_s: float, until_s: float, *, done_s: float, route: str = "", **more: Any) -> Self:
        """Writes due in this span are all acknowledged at `done_s`."""
        self._failing.append((after_s, until_s, route, {"outcome": "ok", "done_s": done_s, **more}))
        return self

    def lose(self, route: str, after_s: float, until_s: float) -> Self:
        """Writes due in this span are not on the surviving timeline, whether or not they were acknowledged."""
        self._lost.append((after_s, until_s, route))
        return self

    def keep(self, route: str, after_s: float, until_s: float) -> Self:
        """Writes due in this span are on the surviving timeline though nobody acknowledged them."""
        self._kept.append((after_s, until_s, route))
        return self

    def repeat_rows(self, route: str, *numbers: int) -> Self:
        """These ids are there twice."""
        self._repeated.setdefault(route, []).extend([number, 2] for number in numbers)
        return self

    def rows(
        self,
        node: str,
        when: str,
        at_s: float,
        after_s: float = 0.0,
        until_s: float = 1e9,
        *,
        timeline: int = 1,
        routes: Sequence[str] = (),
    ) -> Self:
        """The rows of a server were read: it has what was due in this span and written on that server."""
        self._own.append((node, at_s, when, after_s, until_s, timeline, tuple(routes)))
        return self

    def read(self, route: str, at_s: float, ids: Sequence[int], node: str = "postgres1", timeline: int = 1) -> Self:
        """A reader saw these rows for the first time."""
        ranges = [[number, number] for number in ids]
        return self.tell("clients", "read", at_s, route=route, node=node, timeline=timeline, ranges=ranges)

    def ids(self, route: str, after_s: float, until_s: float) -> list[int]:
        """The ids of a route's writes that are due in a span."""
        return [f["id"] for _, f in self._writes() if f["route"] == route and ns(after_s) <= f["due_ns"] < ns(until_s)]

    # -- the whole -----------------------------------------------------------------------------------------------------

    def _plan(self) -> dict[str, Any]:
        bounds = self.bounds or {
            strike["fault"]: {label: dict(FAILOVER_BOUND) for label in self.labels} for strike in self.strikes
        }
        roles = [*((node, "postgres") for node in self.nodes), ("clients", "clients")]
        return {
            "about": "writes",
            "arm": self.arm,
            "repeat": self.repeat,
            "trial": self.trial,
            "scenario": "tale",
            "seed": "7",
            "settings": self.settings,
            "routes": self.described,
            "nodes": [{"node": node, "role": role, "address": ""} for node, role in roles],
            "rate_per_s": self.rate_per_s,
            "deadline_s": self.deadline_s,
            "bounds": bounds,
            "beat": {"name": "", "period_s": 0.0},
            "strikes": self.strikes,
        }

    def _scaffold(self) -> list[Line]:
        made = super()._scaffold()
        if self.states:
            first = WritesTale(instances=self.instances)
            first.state("postgres1", -0.5, "primary", sync=self.instances - 1)
            for node in self.nodes[1:]:
                first.state(node, -0.4, "standby", upstream="postgres1", receiving=True)
            made += first.said
        return made

    def _writes(self) -> list[tuple[int, dict[str, Any]]]:
        """(done, fields) of the even load, in the order in which they are due."""
        end_s, made = self.phases["final"], []
        pace_s = len(self.labels) / self.rate_per_s
        for place, label in enumerate(self.labels):
            for number in range(int(end_s / pace_s - 0.5)):
                due_s = (number + (place + 1) / (len(self.labels) + 1)) * pace_s
                made.append(self._write(label, number + 1, due_s))
        return sorted(made, key=lambda item: item[1]["due_ns"])

    def _write(self, route: str, number: int, due_s: float) -> tuple[int, dict[str, Any]]:
        node, timeline, told = "postgres1", 1, {}
        for after_s, until_s, of, server, on, more in self._serving:
            if after_s <= due_s < until_s and of in ("", route):
                node, timeline, told = server, on, more
        line: dict[str, Any] = {
            "route": route,
            "client": 1,
            "id": number,
            "due_ns": ns(due_s),
            "sent_ns": ns(due_s),
            "node": node,
            "outcome": "ok",
            "why": "",
            "attempt": 1,
            "timeline": timeline,
            "lsn": lsn_at(due_s),
            "warned": False,
            "tried": [],
            **told,
        }
        done_s = due_s + 0.002
        for after_s, until_s, of, changes in self._failing:
            if after_s <= due_s < until_s and of in ("", route):
                changed = {"why": "deadline", **changes}
                done_s = changed.pop("done_s", due_s + changed.pop("took_s", self.deadline_s))
                line |= changed
                if line["outcome"] != "ok":
                    line |= {"timeline": None, "lsn": None}
        end_s = self.phases["final"]
        if done_s > end_s:
            line |= {"outcome": "info", "why": "ended", "timeline": None, "lsn": None}
            done_s = max(end_s, due_s)
        return ns(done_s), line

    def _survives(self, fields: Mapping[str, Any]) -> bool:
        due_ns, route = fields["due_ns"], fields["route"]
        within = [[ns(a) <= due_ns < ns(b) and r == route for a, b, r in spans] for spans in (self._lost, self._kept)]
        return any(within[1]) or (fields["outcome"] == "ok" and not any(within[0]))

    def _load(self) -> list[Line]:
        writes = self._writes()
        end_s = self.phases["final"]
        made: list[Line] = [("clients", "write", done_ns, fields) for done_ns, fields in writes]
        begun = {"trial": self.trial, "routes": self.described, "rate_per_s": self.rate_per_s, "start_over_s": 0.0}
        made.append(("clients", "load.begin", ns(0), {**begun, "pool": 8, "seed": "7", "repeat": self.repeat}))
        counted = [(f["due_ns"], f["sent_ns"], done_ns) for done_ns, f in writes]
        seconds = [Counter((at[place] - ns(0)) // S for at in counted if at[place] is not None) for place in range(3)]
        for second in range(int(end_s) + 3):
            due, sent, done = (of[second] for of in seconds)
            about = {"second": second, "due": due, "sent": sent, "done": done, "late_ms_p99": 0.5}
            made.append(("clients", "load.second", ns(second + 1), about))
        sent = sum(at[1] is not None for at in counted)
        made.append(
            ("clients", "load.end", ns(end_s + 0.02), {"due": len(counted), "sent": sent, "done": len(counted)})
        )
        return [*made, *self._all_rows([fields for _, fields in writes], end_s + 0.1)]

    def _all_rows(self, writes: Sequence[Mapping[str, Any]], end_s: float) -> list[Line]:
        """Rows that were told of, and unless told otherwise those of every server at the end: the last primary's."""
        made: list[Line] = []
        for node, at_s, when, after_s, until_s, timeline, routes in self._own:
            mine = [
                w
                for w in writes
                if w["node"] == node and ns(after_s) <= w["due_ns"] < min(ns(until_s), ns(at_s)) and w["sent_ns"]
            ]
            wanted = [w for w in mine if not routes or w["route"] in routes]
            made.append(self._rows(node, when, at_s, timeline, False, wanted))
        if self.final_rows:
            _, leader, timeline = max([(-1.0, "postgres1", 1), *self._led])
            kept = [w for w in writes if self._survives(w)]
            behind = {node for node, _, when, *_ in self._own if when == "final"}
            for node in self.nodes:
                if node not in behind:
                    made.append(self._rows(node, "final", end_s, timeline, node != leader, kept, self._repeated))
        return made

    def _rows(
        self,
        node: str,
        when: str,
        at_s: float,
        timeline: int,
        in_recovery: bool,
        writes: Sequence[Mapping[str, Any]],
        repeated: Mapping[str, list[list[int]]] | None = None,
    ) -> Line:
        ranges: dict[str, list[list[int]]] = {}
        for write in sorted(writes, key=lambda w: (w["route"], w["id"])):
            of = ranges.setdefault(write["route"], [])
            if of and of[-1][1] == write["id"] - 1:
                of[-1][1] += 1
            else:
                of.append([write["id"], write["id"]])
        twice = {route: list(pairs) for route, pairs in (repeated or {}).items()}
        about = {"node": node, "when": when, "timeline": timeline, "in_recovery": in_recovery, "reached": True}
        return ("lab", "rows", ns(at_s), {**about, "count": len(writes), "ranges": ranges, "repeated": twice})
