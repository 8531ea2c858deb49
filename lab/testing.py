"""Hand-made histories: a whole valid trial that a test spoils in one place. For tests of checkers, ours and others'.

    tale = Tale(clients=2)
    tale.strike("crash", "backend2", at_s=6)
    tale.view(1, at_s=8.5, removed=["backend2"])
    verdict = staleness.check(tale.history())

All times are seconds after the start of the baseline. What a test does not say is filled in: plan, phases, first
views, ticks of every writer, and a load that adds up. Nobody reads a clock or a file here, except `write`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from lab.checkers.views import digest_of
from lab.history import SCHEMA, Event, History, Source

S = 1_000_000_000
START_NS = 1_000 * S
"""The baseline's start on the made-up clock."""
PHASES = {"ready": -1.0, "baseline": 0.0, "strike": 5.0, "hold": 7.0, "heal": 20.0, "settle": 21.0, "final": 30.0}
DNS_BOUND: Mapping[str, Any] = {
    "low_s": 1.0,
    "high_s": 8.4,
    "phases": [
        {"name": "detection", "low_s": 1.0, "high_s": 2.3, "moved_by": "check_interval_s (1)"},
        {"name": "publication", "low_s": 0.0, "high_s": 0.0, "moved_by": ""},
        {"name": "propagation", "low_s": 0.0, "high_s": 0.1, "moved_by": ""},
        {"name": "client cache", "low_s": 0.0, "high_s": 6.0, "moved_by": "ttl_s (5)"},
    ],
}


def ns(at_s: float) -> int:
    """A time of a tale as a stamp of its history."""
    return START_NS + round(at_s * S)


@dataclass
class Tale:
    """One made-up trial. Every verb adds events; `history` fills in the rest."""

    arm: str = "dns"
    trial: int = 1
    repeat: int = 1
    instances: int = 4
    spare: int = 0
    """Of the instances, the last so many that are not started."""
    clients: int = 2
    rate_per_s: float = 0.0
    """Above 0: this many answered requests a second fill the load, evenly."""
    deadline_s: float = 1.0
    phases: dict[str, float] = field(default_factory=lambda: dict(PHASES))
    bounds: dict[str, Any] = field(
        default_factory=lambda: {"crash": dict(DNS_BOUND), "return": {**DNS_BOUND, "low_s": 0.0}}
    )
    said: list[tuple[str, str, int, dict[str, Any]]] = field(default_factory=list)
    """(writer, kind, t_ns, fields) of what was told so far."""
    strikes: list[dict[str, Any]] = field(default_factory=list)
    boot_ids: dict[str, str] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    """writer -> how many of its events were lost."""
    quiet: set[str] = field(default_factory=set)
    """Writers that do not tick."""
    first_views: bool = True

    @property
    def nodes(self) -> list[str]:
        """backend1 .. backendN."""
        return [f"backend{number}" for number in range(1, self.instances + 1)]

    @property
    def expected(self) -> list[str]:
        """Those that are alive at the start."""
        return self.nodes[: self.instances - self.spare]

    def tell(self, writer: str, kind: str, at_s: float, **fields: Any) -> Self:
        """Any event."""
        self.said.append((writer, kind, ns(at_s), fields))
        return self

    # -- what the lab and the instances tell -----------------------------------------------------------------------

    def strike(
        self,
        fault: str,
        node: str,
        at_s: float,
        *,
        leaves: str = "dead",
        width_s: float = 0.0,
        phase: float = 0.5,
        effective: bool = True,
        holds_before: bool = False,
    ) -> Self:
        """A fault on a node with all its evidence; its instant lies in the middle of `width_s`."""
        number = len(self.strikes) + 1
        about: dict[str, Any] = {"strike": number, "fault": fault, "node": node}
        self.strikes.append({"strike": number, "fault": fault, "target": node, "at_s": at_s, "phase": phase})
        edges = {"after_ns": ns(at_s - width_s / 2), "before_ns": ns(at_s + width_s / 2)}
        self.tell("lab", "fault.checked", at_s - 0.1, when="before", holds=holds_before, evidence={}, **about)
        self.tell("lab", "fault.commanded", at_s - width_s / 2 - 0.001, **about)
        self.tell("lab", "strike.phase", at_s, strike=number, beat="ttl", period_s=5.0, planned=phase, achieved=phase)
        self.tell("lab", "fault.checked", at_s + width_s, when="after", holds=effective, evidence={}, **about)
        if effective:
            return self.tell("lab", "fault.effective", at_s + width_s, leaves=leaves, evidence={}, **edges, **about)
        missing = "missing evidence: pids_gone"
        return self.tell("lab", "fault.ineffective", at_s + width_s, evidence={}, missing=missing, **edges, **about)

    def heal(self, node: str, at_s: float, *, width_s: float = 0.0, holds: bool = False) -> Self:
        """The node's latest strike is healed."""
        struck = [item for item in self.strikes if item["target"] == node][-1]
        about: dict[str, Any] = {"strike": struck["strike"], "fault": struck["fault"], "node": node}
        edges = {"after_ns": ns(at_s - width_s / 2), "before_ns": ns(at_s + width_s / 2)}
        self.tell("lab", "fault.checked", at_s + width_s, when="healed", holds=holds, evidence={}, **about)
        return self.tell("lab", "fault.healed", at_s + width_s, evidence={}, **edges, **about)

    def up(self, node: str, at_s: float, incarnation: int = 2) -> Self:
        """The instance serves."""
        return self._word("up", node, at_s, incarnation)

    def leaving(self, node: str, at_s: float, incarnation: int = 1) -> Self:
        """The instance says goodbye."""
        return self._word("leaving", node, at_s, incarnation)

    def down(self, node: str, at_s: float, incarnation: int = 1) -> Self:
        """The instance exits by itself."""
        return self._word("down", node, at_s, incarnation)

    def _word(self, word: str, node: str, at_s: float, incarnation: int) -> Self:
        about = {"service": "shop", "node": node, "incarnation": incarnation}
        return self.tell(f"service/{node}", f"instance.{word}", at_s, **about)

    def registry(self, step: str, node: str, at_s: float, *, present: bool = False, **more: Any) -> Self:
        """`step`: detected, published or propagated."""
        return self.tell("registrar", f"registry.{step}", at_s, service="shop", node=node, present=present, **more)

    def stall(self, writer: str, after_s: float, before_s: float) -> Self:
        """A writer was blind."""
        after_ns, before_ns = ns(after_s), ns(before_s)
        late_ns = max(0, before_ns - after_ns - 10_000_000)
        return self.tell(writer, "stall", before_s, after_ns=after_ns, before_ns=before_ns, late_ns=late_ns)

    # -- what clients tell -----------------------------------------------------------------------------------------

    def view(
        self,
        client: int,
        at_s: float,
        *,
        added: Sequence[str] = (),
        removed: Sequence[str] = (),
        expires_s: float | None = None,
        **more: Any,
    ) -> Self:
        """A client's view is replaced (with neither added nor removed: refreshed). Size and digest are filled in."""
        if expires_s is not None:
            more["expires_ns"] = ns(expires_s)
        return self.tell("clients", "view", at_s, client=client, added=list(added), removed=list(removed), **more)

    def everybody(self, at_s: float, *, added: Sequence[str] = (), removed: Sequence[str] = ()) -> Self:
        """Every client's view is replaced at the same instant."""
        for client in range(1, self.clients + 1):
            self.view(client, at_s, added=added, removed=removed)
        return self

    def request(
        self,
        client: int,
        due_s: float,
        node: str | None,
        outcome: str = "ok",
        *,
        took_s: float = 0.002,
        sent_s: float | None = None,
        tried: Sequence[tuple[str, float, str]] = (),
        last_sent_s: float | None = None,
        **more: Any,
    ) -> Self:
        """One request; `tried` are (node, sent_s, why) of attempts before the last."""
        sent_ns = None if node is None else ns(due_s if sent_s is None else sent_s)
        if tried:
            more["tried"] = [[name, ns(at_s), why] for name, at_s, why in tried]
            more["last_sent_ns"] = ns(tried[-1][1] + 0.001 if last_sent_s is None else last_sent_s)
        return self.tell(
            "clients",
            "request",
            due_s + took_s,
            client=client,
            due_ns=ns(due_s),
            sent_ns=sent_ns,
            node=node,
            outcome=outcome,
            **more,
        )

    # -- the whole -------------------------------------------------------------------------------------------------

    def history(self) -> History:
        """The whole trial."""
        files = self._files()
        events = [
            Event(t_ns, writer, seq, kind, {"t_ns": t_ns, "seq": seq, "kind": kind, **fields})
            for writer, lines in files.items()
            for seq, (kind, t_ns, fields) in enumerate(lines)
        ]
        sources = [
            Source(writer, 1, self.boot_ids.get(writer, "boot"), 0, len(lines), self.gaps.get(writer, 0), 0)
            for writer, lines in files.items()
        ]
        return History(events, sources)

    def write(self, folder: Path) -> list[Path]:
        """The same trial as files, as writers would have left it."""
        paths = []
        for writer, lines in self._files().items():
            header = {"schema": SCHEMA, "writer": writer, "incarnation": 1, "t_ns": START_NS, "wall": ""}
            header["boot_id"] = self.boot_ids.get(writer, "boot")
            made = [header]
            made += [{"t_ns": t_ns, "seq": i, "kind": kind, **fields} for i, (kind, t_ns, fields) in enumerate(lines)]
            path = folder / f"{writer.replace('/', '-')}.1.jsonl"
            path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in made))
            paths.append(path)
        return paths

    def without(self, unwanted: Callable[[str, str, int], bool]) -> History:
        """The whole trial less the events for which `unwanted(writer, kind, t_ns)` holds."""
        whole = self.history()
        kept = [event for event in whole if not unwanted(event.writer, event.kind, event.t_ns)]
        return History(kept, whole.sources)

    def _files(self) -> dict[str, list[tuple[str, int, dict[str, Any]]]]:
        told = sorted([*self.said, *self._scaffold(), *self._load()], key=lambda line: line[2])
        files: dict[str, list[tuple[str, int, dict[str, Any]]]] = defaultdict(list)
        files["lab"].append(("plan", ns(self.phases["ready"]), self._plan()))
        views: dict[int, frozenset[str]] = defaultdict(frozenset)
        for writer, kind, t_ns, fields in told:
            line = dict(fields)
            if kind == "view":
                client = line["client"]
                nodes = (views[client] - set(line["removed"])) | set(line["added"])
                views[client] = nodes
                line = {"service": "shop", "size": len(nodes), "digest": digest_of(nodes), **line}
            files[writer].append((kind, t_ns, line))
        return dict(files)

    def _plan(self) -> dict[str, Any]:
        roles = [*((node, "backend") for node in self.nodes), ("clients", "clients")]
        return {
            "arm": self.arm,
            "repeat": self.repeat,
            "trial": self.trial,
            "scenario": "tale",
            "seed": "7",
            "service": "shop",
            "expected": self.expected,
            "settings": {},
            "clients": self.clients,
            "nodes": [{"node": node, "role": role, "address": ""} for node, role in roles],
            "rate_per_s": self.rate_per_s,
            "deadline_s": self.deadline_s,
            "bounds": self.bounds,
            "beat": {"name": self.arm, "period_s": 5.0},
            "strikes": self.strikes,
        }

    def _scaffold(self) -> list[tuple[str, str, int, dict[str, Any]]]:
        made: list[tuple[str, str, int, dict[str, Any]]] = []
        for name, at_s in self.phases.items():
            made.append(("lab", "phase", ns(at_s), {"name": name, "limit_s": 10.0}))
        end_s = self.phases["final"]
        for writer in [*(f"agent/{node}" for node in [*self.nodes, "clients"]), "clients"]:
            if writer not in self.quiet:
                for second in range(int(end_s) + 1):
                    buckets = [0] * 25
                    buckets[2] = 100
                    made.append((writer, "lag", ns(second + 0.5), {"ticks": 100, "buckets": buckets}))
        for client in range(1, self.clients + 1):
            made.append(("clients", "view.open", ns(0.05), {"client": client}))
            if self.first_views:
                first = {"client": client, "added": self.expected, "removed": [], "full": self.expected}
                made.append(("clients", "view", ns(0.1), first))
            made.append(("clients", "view.closed", ns(end_s + 0.01), {"client": client}))
        return made

    def _load(self) -> list[tuple[str, str, int, dict[str, Any]]]:
        """Even background requests, and the seconds and totals that all requests add up to."""
        end_s = self.phases["final"]
        filler = Tale(clients=self.clients)
        for number in range(int(self.rate_per_s * end_s)):
            filler.request(1 + number % self.clients, (number + 0.5) / self.rate_per_s, self.expected[0])
        made = list(filler.said)
        requests = [line for line in [*made, *self.said] if line[1] == "request"]
        seconds: dict[int, dict[str, int]] = defaultdict(lambda: {"due": 0, "sent": 0, "done": 0})
        for _, _, t_ns, fields in requests:
            for name, at_ns in (("due", fields["due_ns"]), ("sent", fields["sent_ns"]), ("done", t_ns)):
                if at_ns is not None:
                    seconds[(at_ns - START_NS) // S][name] += 1
        totals = {name: sum(second[name] for second in seconds.values()) for name in ("due", "sent", "done")}
        about = {"clients": self.clients, "rate_per_s": self.rate_per_s, "start_over_s": 1.0}
        made.append(("clients", "load.begin", START_NS, about))
        for second in range(max([int(end_s), *seconds]) + 1):
            counts = seconds[second]
            made.append(("clients", "load.second", ns(second + 1), {"second": second, **counts, "late_ms_p99": 0.5}))
        made.append(("clients", "load.end", ns(end_s + 0.02), totals))
        return made
