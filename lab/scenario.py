"""What a person writes: arms, a load, strikes and objectives. Everything is a frozen value that validates itself.

A nonsense value is one sentence (BadInput) that names the field; the loader adds the file. A scenario is about views of
instances or about writes to a database: its load says which (`kind`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from lab.arm import Arm as Arm
from lab.errors import BadInput
from lab.fields import check_number, check_truth, check_whole, shown
from lab.measures import VIEWS, WRITES, Measure
from lab.objectives import Bound, Objective
from lab.protocols import Fault, Load
from lab.selectors import Selector

MARGIN = 1.25
"""A hold must outlast the largest bound by this factor, or a slow arm would look like a hung one."""

_MAKES = {
    "start": frozenset({"return"}),
    "restart": frozenset({"leaving", "removal", "return"}),
    "graceful_stop": frozenset({"leaving", "removal", "return"}),
}
"""What a fault makes of its target, where `leaves` does not tell."""

_NEEDS = {
    "dead_but_listed_s": frozenset({"removal"}),
    "leaving_but_listed_s": frozenset({"leaving"}),
    "alive_but_missing_s": frozenset({"return"}),
    "attempts_on_dead": frozenset({"removal"}),
    "requests_lost": frozenset({"removal", "return"}),
}
"""What a measure is measured at; one that is not here needs no strike."""

_AT_STRIKES = frozenset({"outage_s", "unavailable_s", "split_brain_s", "split_brain_writes", "rejoin_s"})
"""Measures of writes that need a strike."""

_OF_THE_LAB = frozenset({"clients", "observer", "watcher"})
"""Roles of pods that are part of no system under test: they load it and look at it."""

_OWN_CONNECTIONS = 12
"""What the lab itself (observers, controller, registrar, readings) may have open at one server, and what Postgres keeps
for superusers."""


@dataclass(frozen=True)
class Strike:
    """One fault on one or more nodes, `at_s` seconds after the first strike of the trial, staggered by `every_s`.

    It holds until the trial heals, or for `for_s` seconds.
    """

    fault: Fault
    target: Selector
    at_s: float = 0.0
    every_s: float = 0.0
    for_s: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.fault, type):
            raise BadInput(f"Strike: fault={self.fault.__name__} is a class; write {self.fault.__name__}()")
        for member in ("name", "leaves", "inject", "verify", "heal"):
            if not hasattr(self.fault, member):
                raise BadInput(f"Strike: fault={shown(self.fault)} is not a fault: it has no {member}; see lab.faults")
        if not isinstance(self.target, Selector):
            raise BadInput(
                f"Strike: target={shown(self.target)} is not a selector, e.g. one('backend') or named('ns1')"
            )
        check_number("Strike", "at_s", self.at_s, least=0)
        check_number("Strike", "every_s", self.every_s, least=0)
        if self.for_s is not None:
            check_number("Strike", "for_s", self.for_s, above=0)

    @property
    def makes(self) -> frozenset[str]:
        """What becomes of its targets: "removal", "return", "leaving"."""
        by_leaves = frozenset({"removal", "return"}) if self.fault.leaves == "dead" else frozenset[str]()
        return _MAKES.get(self.fault.name, by_leaves)

    def __str__(self) -> str:
        return f"{self.fault.name} of {self.target} at {self.at_s:g} s"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A claim that runs: what is compared, under which load, what is broken, and what must come out."""

    arms: Sequence[Arm]
    load: Load
    objectives: Sequence[Objective]
    strikes: Sequence[Strike] = ()
    repeats: int = 4
    """Trials of each arm."""
    quiet_s: float = 10.0
    """How long a trial without strikes watches."""
    hold_s: float | None = None
    """At most how long a trial holds after its last strike; None: 1.25 x the largest bound and a little."""
    watch_s: float = 1.5
    """Of writes: for how long they are watched on after a failover, and again after the heal."""
    expects: Mapping[Objective, str] = field(default_factory=dict)
    """{objective: "no" or "unknown"}: a planted lie, which must come out so; it still exits 1 or 2."""
    demonstration: bool = False
    """Shows what the lab does with a lie; `lab list` says so."""

    def __post_init__(self) -> None:
        for name in ("arms", "objectives", "strikes"):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise BadInput(f"Scenario: {name}={shown(value)} is not a list; write {name}=[...]")
            object.__setattr__(self, name, tuple(value))
        if not isinstance(self.expects, Mapping):
            raise BadInput(f'Scenario: expects={shown(self.expects)} is no mapping, e.g. {{objective: "no"}}')
        check_truth("Scenario", "demonstration", self.demonstration)
        check_whole("Scenario", "repeats", self.repeats, least=1)
        check_number("Scenario", "quiet_s", self.quiet_s, above=0)
        check_number("Scenario", "watch_s", self.watch_s, above=0)
        self._check_arms()
        self._check_strikes()
        self._check_hold()
        self._check_objectives()

    @property
    def kind(self) -> str:
        """What it is about: "views" or "writes"."""
        return str(getattr(self.load, "kind", "views"))

    @property
    def changes(self) -> tuple[str, ...]:
        """What can be bounded here: each fault's name, and "return" where an instance comes back."""
        faults = dict.fromkeys(strike.fault.name for strike in self.strikes)
        back = self.kind == "views" and any("return" in strike.makes for strike in self.strikes)
        return (*faults, "return") if back else tuple(faults)

    def changes_of(self, measure: Measure) -> tuple[str, ...]:
        """The changes whose bound `bound()` means for a measure."""
        if measure.bounded_by == "return":
            return tuple(change for change in self.changes if change == "return")
        if measure.bounded_by == "failover":
            return self.changes
        needed = _NEEDS.get(measure.name, frozenset())
        return tuple(dict.fromkeys(s.fault.name for s in self.strikes if needed & s.makes))

    def unbounded(self, arm: Arm, change: str, label: str = "") -> str:
        """Why an arm (or its route of that label) promises nothing for a change as it is made here; "" where it does.

        A fault of a standby, or one that its failover system does not see, makes no failover of a database.
        """
        strikes = [strike for strike in self.strikes if strike.fault.name == change]
        if self.kind == "writes" and strikes and arm.watched_from:
            watchers = {node for node, role in arm.nodes if role in arm.watched_from}
            dead = [s.target.candidates(arm.nodes) for s in self.strikes if s.fault.leaves == "dead" and _certain(s)]
            if watchers <= {node for nodes in dead for node in nodes}:
                return f"{' '.join(sorted(watchers))} is struck too, so nobody sees the primary"
        if self.kind == "writes" and strikes:
            if all(self._spares_leader(arm, strike) for strike in strikes):
                return "it strikes no primary, so nothing fails over"
            away = [set(getattr(strike.fault, "away_from", ())) for strike in strikes]
            if arm.watched_from and all(names and not names & arm.watched_from for names in away):
                return f"its {min(arm.watched_from, key=len)} still sees the primary, so nothing fails over"
        return arm.unbounded(change, label)

    def nodes(self, arm: Arm) -> tuple[tuple[str, str], ...]:
        """(node, role) of every pod of an arm, the load's included."""
        return (*arm.nodes, *self.load.nodes)

    def _check_arms(self) -> None:
        if isinstance(self.load, type) or not hasattr(self.load, "nodes") or not hasattr(self.load, "settings"):
            what = self.load.__name__ + ", a class," if isinstance(self.load, type) else shown(self.load)
            raise BadInput(
                f"Scenario: load={what} is not a load, e.g. HttpClients(count=30, rate_per_s=300) or SqlWriters()"
            )
        if not self.arms:
            raise BadInput("Scenario: arms are missing")
        for arm in self.arms:
            if not isinstance(arm, Arm):
                raise BadInput(f"Scenario: arms: {shown(arm)} is not an Arm, e.g. Arm('dns', Service(), Dns())")
            if self.kind == "writes":
                self._check_database(arm)
            elif arm.routes or "postgres" in arm.settings:
                has = "routes to a database" if arm.routes else "a database"
                raise BadInput(f"Scenario: arm {arm.name} has {has}; its load must be SqlWriters(...)")
            else:
                arm.route()
                if not arm.alive_at_start:
                    raise BadInput(f"Scenario: arms: {arm.name} has no backend; add a Service")
        names = [arm.name for arm in self.arms]
        for name in names:
            if names.count(name) > 1:
                raise BadInput(f"Scenario: arms: two of them are named {name!r}")

    def _check_database(self, arm: Arm) -> None:
        settings = arm.settings.get("postgres")
        if settings is None:
            raise BadInput(
                f"Scenario: arm {arm.name} has no database, and the load writes to one; add Postgres(...), or use "
                "HttpClients(...)"
            )
        if not arm.routes:
            raise BadInput(f"Scenario: arm {arm.name}: routes are missing, e.g. routes=[MultiHost()]")
        pool, most = int(self.load.settings["pool"]), int(settings["max_connections"])
        needed = len(arm.routes) * (pool + 1) + _OWN_CONNECTIONS
        if needed > most:
            raise BadInput(
                f"Scenario: arm {arm.name}: pool={pool} for each route ({len(arm.routes)}), readers and the lab "
                f"itself need {needed} connections, Postgres grants max_connections={most}; lower pool or raise it"
            )

        lag_s = float(settings.get("lag_ms") or 0.0) / 1000 if settings.get("replication") == "sync" else 0.0
        under_way = math.ceil(lag_s * self.load.rate_per_s)
        if under_way > pool:
            raise BadInput(
                f"Scenario: arm {arm.name}: commits take lag_ms={settings['lag_ms']:g}, so at "
                f"rate_per_s={self.load.rate_per_s:g} some {under_way} are under way, and pool={pool}; raise pool, or "
                "lower rate_per_s"
            )

    def _check_strikes(self) -> None:
        for number, strike in enumerate(self.strikes, 1):
            if not isinstance(strike, Strike):
                raise BadInput(f"Scenario: strikes: {shown(strike)} is not a Strike, e.g. Strike(Crash(), ...)")
            for arm in self.arms:
                try:
                    self._check_target(strike, arm)
                except BadInput as error:
                    where = f"{error.where}: " if error.where else ""
                    raise BadInput(f"strike {number}: arm {arm.name}: {where}{error.what}") from None
        for (i, first), (j, second) in combinations(enumerate(self.strikes, 1), 2):
            if first.target.kind == "leader" and (first.target, first.at_s) == (second.target, second.at_s):
                raise BadInput(
                    f"strikes {i} ({first}) and {j} ({second}) hit the same leader at once; give the second one an "
                    "at_s at which another one leads"
                )
            if "leader" in (first.target.kind, second.target.kind):
                continue  # whom it hits is known only when it is due
            for arm in self.arms:
                shared = first.target.may_meet(second.target, self.nodes(arm))
                if shared and _overlap(first, second, len(shared)):
                    raise BadInput(
                        f"strikes {i} ({first}) and {j} ({second}) may overlap on {shared[0]}; use one Strike with "
                        "some(), name different nodes, or let the first end with for_s"
                    )

    def _spares_leader(self, arm: Arm, strike: Strike) -> bool:
        """Whether it hits standbys only: the first server leads when a trial begins, and until somebody strikes it."""
        first = next((node for node, role in arm.nodes if role == "postgres"), "")

        def may_hit(other: Strike) -> bool:
            return other.target.kind != "named" or first in other.target.names

        before = [other for other in self.strikes if other is strike or other.at_s <= strike.at_s]
        return not any(may_hit(other) for other in before)

    def _check_target(self, strike: Strike, arm: Arm) -> None:
        nodes, fault = self.nodes(arm), strike.fault
        roles = dict(nodes)
        hit = strike.target.candidates(nodes)
        led = {role for system in arm.systems if (role := getattr(system, "leads", ""))}
        if strike.target.kind == "leader":
            if led and strike.target.role not in led:
                raise BadInput(f"target: of {strike.target.role} none leads; leader() is for {', '.join(sorted(led))}")
            targets = [(str(strike.target), strike.target.role)]
        else:
            targets = [(node, roles[node]) for node in hit]
        for node, role in targets:
            if role in _OF_THE_LAB and (fault.leaves == "dead" or fault.needs & {"server", "host"}):
                raise BadInput(
                    f"target: {node} is how the lab sees what happens, and {fault.name} would blind it; strike a "
                    "system, or cut it off with Partition(...)"
                )
            if fault.name == "start" and node in arm.alive_at_start:
                raise BadInput(f"target: {node} runs already when a trial begins; Start a spare: Service(spares=...)")
        if (check := getattr(fault, "fits", None)) is not None:
            check(targets, nodes)

    def _check_hold(self) -> None:
        if self.hold_s is None:
            return
        check_number("Scenario", "hold_s", self.hold_s, above=0)
        for arm in self.arms:
            for change in self.changes:
                found = arm.bounds(change)
                if found is not None and self.hold_s < MARGIN * found.high_s:
                    enough_s = math.ceil(10 * MARGIN * found.high_s) / 10
                    raise BadInput(
                        f"Scenario: hold_s={self.hold_s:g} is shorter than {MARGIN:g} x the bound of arm {arm.name} "
                        f"for {change} ({found.high_s:.2f} s); raise it to {enough_s:g} or leave it out"
                    )

    def _check_objectives(self) -> None:
        if not self.objectives:
            raise BadInput("Scenario: objectives are missing, e.g. worst(dead_but_listed_s) <= bound()")
        names = {arm.name for arm in self.arms}
        makes = frozenset[str]().union(*(strike.makes for strike in self.strikes))
        for objective in self.objectives:
            if not isinstance(objective, Objective):
                raise BadInput(
                    f"Scenario: objectives: {shown(objective)} is not a comparison with <, <=, > or >=, e.g. "
                    "worst(measure) <= 5"
                )
            for name in objective.arms:
                if name not in names:
                    raise BadInput(
                        f"objective {objective}: there is no arm {name!r}; arms are {', '.join(sorted(names))}"
                    )
            self._check_measure(objective)
            needed = _NEEDS.get(objective.measure.name)
            if needed is not None and not needed & makes:
                raise BadInput(
                    f"objective {objective}: no arm can produce {objective.measure.name} here: "
                    f"no strike makes a {' or '.join(sorted(needed))}"
                )
            if isinstance(objective.right, Bound):
                self._check_bound(objective)
        if len(set(self.objectives)) < len(self.objectives):
            raise BadInput("Scenario: objectives: one of them stands there twice")
        for objective, answer in self.expects.items():
            if objective not in self.objectives:
                raise BadInput(f"Scenario: expects: {objective!s} is not among the objectives")
            if answer not in ("no", "unknown"):
                raise BadInput(f"Scenario: expects: {objective}: {answer!r} is neither 'no' nor 'unknown'")

    def _check_measure(self, objective: Objective) -> None:
        measure = objective.measure
        if measure in (VIEWS if self.kind == "writes" else WRITES):
            raise BadInput(
                f"objective {objective}: no arm can produce {measure.name} here: this scenario is about {self.kind}"
            )
        if measure.name in _AT_STRIKES and not self.strikes:
            raise BadInput(f"objective {objective}: no arm can produce {measure.name} here: there is no strike")

    def _check_bound(self, objective: Objective) -> None:
        for arm in self.arms:
            if objective.arm in ("", arm.name):
                changes = self.changes_of(objective.measure)
                without = [change for change in changes if self.unbounded(arm, change)]
                # What only prepares the failure of a database (a cut standby) need not promise anything by itself.
                if without and (self.kind == "views" or len(without) == len(changes)):
                    raise BadInput(
                        f"objective {objective}: arm {arm.name} promises no bound for {without[0]}, for "
                        f"{self.unbounded(arm, without[0])}; compare it with a number"
                    )


def _certain(strike: Strike) -> bool:
    """Whether it hits everybody whom it may hit."""
    return strike.target.kind in ("named", "every")


def _overlap(first: Strike, second: Strike, nodes: int) -> bool:
    """Whether the windows in which two strikes may hold a node have a common instant."""

    def window(strike: Strike) -> tuple[float, float]:
        last_s = strike.at_s + strike.every_s * max(strike.target.count, len(strike.target.names), nodes)
        return strike.at_s, math.inf if strike.for_s is None else last_s + strike.for_s

    (a, a_end), (b, b_end) = window(first), window(second)
    return a < b_end and b < a_end
