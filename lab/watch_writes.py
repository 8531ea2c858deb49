"""Trials about writes to a database: a route is right when its writes are acknowledged in time again.

A hold goes on until the failover that the arm promises has happened and every route has been right for a while after
it, so that what an old primary still acknowledges beside the new one is seen too. Rows are read before the heal, which
may let a manager throw them away, and at the end; only then are members that fell behind brought back.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from lab.clock import S
from lab.errors import NodeLost
from lab.plan import baseline_s, hold_limit_s, settle_limit_s
from lab.protocols import Fields, Node
from lab.stage import Stage

STREAK = 10
"""So many acknowledged writes in a row make a route right."""
REJOIN_LIMIT_S = 30.0


@dataclass(slots=True)
class WritesWatch:
    """Satisfies lab.stage.Watch."""

    stage: Stage
    loading: bool = False

    @property
    def plan_fields(self) -> Fields:
        arm, load = self.stage.arm, self.stage.plan.scenario.load
        return {
            "about": "writes",
            "routes": [{"label": r.label, "kind": r.kind, "settings": r.settings} for r in arm.routes],
            "rate_per_s": load.settings["rate_per_s"] * len(arm.routes),
            "deadline_s": max(float(route.settings["deadline_s"]) for route in arm.routes),
        }

    def ready(self) -> None:
        """What the replication link really delays, by the standbys' own agents."""
        leader = self.stage.leader("postgres")
        if not self.stage.stack.role("link") or leader is None:
            return
        for node in self._servers:
            if node.name != leader:
                told = node.tell("ask", probe="lag", primary=leader, timeout_s=10.0)
                about = {key: told[key] for key in ("lags_s", "median_s", "why") if key in told}
                self.stage.log.record("replication.lag", node=node.name, primary=leader, **about)

    def begin(self) -> None:
        stage = self.stage
        stage.load(
            {
                "do": "begin",
                "trial": stage.trial.number,
                "seed": stage.plan.seed,
                "repeat": stage.trial.repeat,
                "start_over_s": 0.5,
                "servers": [node.name for node in self._servers],
                "routes": self.plan_fields["routes"],
                **stage.plan.scenario.load.settings,
            }
        )
        self.loading = True

    def baseline(self) -> None:
        self.stage.pause_s(baseline_s(self.stage.arm))
        self._until_right(0, self._limit_s, "baseline", 0.5)

    def about_to_strike(self) -> None:
        """Nothing: whom a strike of the leader hits is asked when it is due."""

    def hold(self) -> None:
        stage = self.stage
        watch_s, limit_s = stage.plan.scenario.watch_s, hold_limit_s(stage.plan.scenario, stage.arm)
        deadline_ns = stage.now_ns() + int(limit_s * S)
        while self._failover_is_due() and stage.now_ns() < deadline_ns:
            stage.check_stop()
            stage.tell_phase(
                "hold", (deadline_ns - stage.now_ns()) / S, "nobody leads yet instead of the one that was struck"
            )
            stage.stop.wait(0.1)
        over_ns = stage.now_ns()
        self._until_right(over_ns, max(watch_s, (deadline_ns - over_ns) / S), "hold", watch_s)

    def before_heal(self) -> None:
        self._read_rows("before_heal")

    def settle(self) -> bool:
        stage = self.stage
        if not stage.trial.strikes:
            return True
        return self._until_right(stage.now_ns(), self._limit_s, "settle", stage.plan.scenario.watch_s)

    def end(self) -> None:
        """End the load, read every server's rows, then bring back whoever fell behind."""
        if self.loading:
            self.stage.load({"do": "end"}, timeout_s=10.0)
        self._read_rows("final")
        with suppress(NodeLost):  # a member that cannot be brought back is a finding, not an end
            self._rejoin()

    # -- looking -------------------------------------------------------------------------------------------------

    @property
    def _servers(self) -> list[Node]:
        return list(self.stage.stack.role("postgres"))

    @property
    def _limit_s(self) -> float:
        return settle_limit_s(self.stage.plan.scenario, self.stage.arm)

    def _failover_is_due(self) -> bool:
        """Whether a server was struck that still leads, or nobody does, where the arm promises a new leader."""
        stage = self.stage
        promised = {planned: stage.arm.mechanism(planned.fault.name) for planned in stage.effective}
        due = {
            stage.targets[planned.strike]
            for planned, bounds in promised.items()
            if bounds is not None and any(phase.name == "promotion" for phase in bounds.phases)
        }
        return bool(due) and stage.leader("postgres") in (None, *due)

    def _until_right(self, after_ns: int, limit_s: float, name: str, for_s: float) -> bool:
        """Wait until every route's writes have been acknowledged for `for_s`, counted from `after_ns` at the soonest;
        False when the limit came first.
        """
        stage = self.stage
        deadline_ns = stage.now_ns() + int(limit_s * S)
        while True:
            stage.check_stop()
            routes: dict[str, Fields] = stage.load({"do": "status"})["routes"]
            now_ns = stage.now_ns()
            right = [
                label
                for label, told in routes.items()
                if told["streak"] >= STREAK and now_ns - max(told["since_ns"], after_ns) >= for_s * S
            ]
            if len(right) == len(routes):
                return True
            if now_ns >= deadline_ns:
                return False
            lacking = ", ".join(label for label in routes if label not in right)
            stage.tell_phase(name, (deadline_ns - now_ns) / S, f"waiting for {lacking}")
            stage.stop.wait(0.05)

    def _read_rows(self, when: str) -> None:
        with ThreadPoolExecutor(len(self._servers)) as pool:
            for node, told in zip(self._servers, pool.map(_rows, self._servers), strict=True):
                self.stage.log.record("rows", node=node.name, when=when, **told)

    def _rejoin(self) -> None:
        stage = self.stage
        stage.log.record("rejoin.begin", stage.now_ns())
        for system in stage.arm.systems:
            if (recover := getattr(system, "recover", None)) is not None:
                recover(stage.stack)
        deadline_ns = stage.now_ns() + int(REJOIN_LIMIT_S * S)
        while (behind := self._behind()) and stage.now_ns() < deadline_ns:
            stage.check_stop()
            stage.tell_phase("final", (deadline_ns - stage.now_ns()) / S, f"{', '.join(behind)} must stream again")
            stage.stop.wait(0.05)
        stage.log.record("rejoin.end", stage.now_ns(), behind=behind)

    def _behind(self) -> list[str]:
        """The servers that do not stream from the leader; the leader itself where nobody leads."""
        leader = self.stage.leader("postgres")
        if leader is None:
            return [node.name for node in self._servers]
        status = _told(self.stage.stack.nodes[leader])
        streaming = {leader, *status.get("streaming", ())}
        return [node.name for node in self._servers if node.name not in streaming]


def _told(node: Node) -> Fields:
    try:
        answer = node.tell("ask", probe="control", message={"do": "status"})
    except NodeLost:
        return {}
    told: Fields = answer.get("answer") or {}
    return told if told.get("ok") else {}


def _rows(node: Node) -> Fields:
    try:
        told = node.tell("ask", probe="rows", host="127.0.0.1", port=5432, timeout_s=5.0)
    except NodeLost as error:
        return {"reached": False, "why": str(error)}
    return {name: value for name, value in told.items() if name not in ("t_ns", "id", "ok")}
