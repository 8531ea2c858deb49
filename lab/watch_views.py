"""Trials about views of instances: a client is right when it lists exactly those that serve."""

from __future__ import annotations

from dataclasses import dataclass

from lab.clock import S
from lab.plan import baseline_s, hold_limit_s, settle_limit_s, spread_s
from lab.protocols import Fields
from lab.stage import RIGHT_FOR_S, Stage


@dataclass(slots=True)
class ViewsWatch:
    """Satisfies lab.stage.Watch."""

    stage: Stage
    loading: bool = False

    @property
    def plan_fields(self) -> Fields:
        load = self.stage.plan.scenario.load
        return {
            "service": "shop",
            "expected": sorted(self.at_start),
            "clients": self._clients,
            "rate_per_s": load.settings["rate_per_s"],
            "deadline_s": load.settings["deadline_s"],
        }

    def ready(self) -> None:
        """Nothing."""

    def begin(self) -> None:
        stage = self.stage
        route = stage.arm.route()
        stage.load(
            {
                "do": "begin",
                "trial": stage.trial.number,
                "seed": stage.plan.seed,
                "repeat": stage.trial.repeat,
                "route": {"kind": route.kind, "settings": route.settings},
                "start_over_s": 1.0,
                **stage.plan.scenario.load.settings,
            }
        )
        self.loading = True

    def baseline(self) -> None:
        self.stage.pause_s(baseline_s(self.stage.arm))
        self._until_right(self.at_start, self._return_limit_s, "baseline")

    def about_to_strike(self) -> None:
        """Nothing: who serves at the start is in the plan."""

    def hold(self) -> None:
        self._until_right(self.while_struck, hold_limit_s(self.stage.plan.scenario, self.stage.arm), "hold")
        # So that returns are spread over the beat.
        self.stage.pause_s(spread_s(self.stage.arm, self.stage.trial))

    def before_heal(self) -> None:
        """Nothing: views are written down as they change."""

    def settle(self) -> bool:
        return self._until_right(self.at_start, self._return_limit_s, "settle")

    def end(self) -> None:
        if self.loading:
            self.stage.load({"do": "end"}, timeout_s=10.0)

    # -- who should be seen --------------------------------------------------------------------------------------

    @property
    def at_start(self) -> frozenset[str]:
        """The instances that serve when a trial begins."""
        return frozenset(self.stage.arm.alive_at_start)

    @property
    def while_struck(self) -> frozenset[str]:
        """Those that serve while every strike that took effect holds."""
        effective, targets = self.stage.effective, self.stage.targets
        dead = {targets[planned.strike] for planned in effective if planned.fault.leaves == "dead"}
        alive = {targets[planned.strike] for planned in effective if planned.fault.leaves == "alive"}
        backends = {node for node, role in self.stage.arm.nodes if role == "backend"}
        return (self.at_start - dead) | (alive & backends)

    @property
    def _clients(self) -> int:
        return int(self.stage.plan.scenario.load.settings["clients"])

    @property
    def _return_limit_s(self) -> float:
        return settle_limit_s(self.stage.plan.scenario, self.stage.arm)

    def _until_right(self, expected: frozenset[str], limit_s: float, name: str) -> bool:
        """Wait until every client's view has been `expected` for a while; False when the limit came first."""
        stage, clients = self.stage, self._clients
        deadline_ns = stage.now_ns() + int(limit_s * S)
        while True:
            stage.check_stop()
            status = stage.load({"do": "status"})
            now_ns = stage.now_ns()
            right = [view for view in status["views"] if frozenset(view["nodes"]) == expected]
            count = sum(view["clients"] for view in right)
            since_ns = max((view["since_ns"] for view in right), default=now_ns)
            if count == clients and now_ns - since_ns >= RIGHT_FOR_S * S:
                return True
            if now_ns >= deadline_ns:
                return False
            gone = len(self.at_start - expected)
            detail = f"{gone} gone, " if gone else ""
            stage.tell_phase(name, (deadline_ns - now_ns) / S, f"{detail}{count} of {clients} clients right")
            stage.stop.wait(0.1)
