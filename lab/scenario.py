"""What a person writes: arms, a load, strikes and objectives. Everything is a frozen value that validates itself.

A nonsense value is one sentence (BadInput) that names the field; the loader adds the file. A scenario is about views of
instances or about writes to a database: its load says which (`kind`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import combinations

from lab.errors import BadInput
from lab.fields import check_number, check_whole
from lab.measures import VIEWS, WRITES, Measure
from lab.objectives import Bound, Objective
from lab.protocols import Bounds, ClientRoute, Fault, Fields, Load, Route, System
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

_OWN_CONNECTIONS = 12
"""What the lab itself (observers, controller, registrar, readings) may have open at one server, and what Postgres keeps
for superusers."""


@dataclass(frozen=True, init=False)
class Arm:
    """One of the things compared: a name and the systems that make it up, on one network.

    `routes` are the ways in which clients of a database find its primary; several are driven in the same trial, by the
    same arrivals and through the same fault, so that they can be compared in pairs.
    """

    name: str
    systems: tuple[System, ...]
    routes: tuple[ClientRoute, ...] = ()

    def __init__(self, name: str, *systems: System, routes: Sequence[ClientRoute] = ()) -> None:
        object.__setattr__(self, "name", name)
        # Each arm has copies of its own: what a system promises may depend on those that it stands beside.
        systems = tuple(copy(system) if hasattr(system, "check_beside") else system for system in systems)
        object.__setattr__(self, "systems", systems)
        object.__setattr__(self, "routes", tuple(routes))
        if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            raise BadInput(f"Arm: name={name!r} must be letters, digits, - and _")
        if not systems:
            raise BadInput(f"Arm {name}: systems are missing, e.g. Arm({name!r}, Service(instances=8), Dns())")
        for system in systems:
            if not hasattr(system, "compose_files") or not hasattr(system, "bounds"):
                raise BadInput(f"Arm {name}: {system!r} is not a system; see lab.systems")
        names = [node for node, _ in self.nodes]
        for node in names:
            if names.count(node) > 1:
                raise BadInput(f"Arm {name}: two of its systems bring a node {node!r}")
        labels = [route.label for route in self.routes]
        for label in labels:
            if labels.count(label) > 1:
                raise BadInput(f"Arm {name}: two of its routes are called {label!r}; give one of them a name=")
        try:
            for system in systems:
                if (check := getattr(system, "check_beside", None)) is not None:
                    check(systems, self.routes)
            for route in self.routes:
                route.check_beside(systems)
        except BadInput as error:
            raise BadInput(f"Arm {name}: {error.what}") from None

    @property
    def compose_files(self) -> tuple[str, ...]:
        """The systems' compose files, each once, in order."""
        return tuple(dict.fromkeys(file for system in self.systems for file in system.compose_files))

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        """(node, role) of every pod of the systems."""
        return tuple(node for system in self.systems for node in system.nodes)

    @property
    def environment(self) -> Mapping[str, str]:
        """The systems' settings as variables of their compose files; a later system's word counts."""
        return {name: value for system in self.systems for name, value in system.environment.items()}

    @property
    def settings(self) -> Fields:
        """The systems' settings by system name."""
        return {system.name: system.settings for system in self.systems}

    @property
    def alive_at_start(self) -> tuple[str, ...]:
        """The backends that serve when a trial begins: all but the spare ones."""
        spare = {node for system in self.systems for node in getattr(system, "spare_nodes", ())}
        return tuple(node for node, role in self.nodes if role == "backend" and node not in spare)

    @property
    def beat_s(self) -> float:
        """Seconds of the clock that strikes race against; 0 where there is none."""
        return next((system.beat_s for system in self.systems if system.beat_s > 0), 0.0)

    @property
    def beat_name(self) -> str:
        """What that clock is called: "ttl"."""
        return next((getattr(s, "beat_name", f"{s.name} beat") for s in self.systems if s.beat_s > 0), "")

    def route(self) -> Route:
        """How its clients discover. Raises BadInput where none of its systems says."""
        for system in self.systems:
            if (found := system.route()) is not None:
                return found
        raise BadInput(f"Arm {self.name}: none of its systems gives clients a way to discover instances")

    def mechanism(self, change: str) -> Bounds | None:
        """What the systems promise for a fault's name or "return", without the routes of a database; None: nothing."""
        asked = [s for s in self.systems if getattr(s, "fails_over", False)] if self.routes else self.systems
        found = next((b for system in asked if (b := system.bounds(change)) is not None), None)
        return self.mechanism("return") if found is None and change == "start" else found

    def promises(self, change: str) -> Mapping[str, Bounds]:
        """What the settings promise to clients, by route's label; "" where clients are of one kind.

        Empty where nothing is promised, without a route that promises nothing.
        """
        found = self.mechanism(change)
        if found is None:
            return {}
        if not self.routes:
            return {"": found}
        of_routes = {route.label: route.phases(change, self.systems) for route in self.routes}
        return {label: Bounds((*found.phases, *own)) for label, own in of_routes.items() if own is not None}

    def bounds(self, change: str) -> Bounds | None:
        """The largest of its promises; where no route promises anything, its systems' own. None: nothing at all."""
        found = self.promises(change).values()
        return max(found, key=lambda bounds: bounds.high_s, default=self.mechanism(change))


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
                raise BadInput(f"Strike: fault={self.fault!r} is not a fault: it has no {member}")
        if not isinstance(self.target, Selector):
            raise BadInput(f"Strike: target={self.target!r} is not a selector, e.g. one('backend') or named('ns1')")
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
                raise BadInput(f"Scenario: {name}={value!r} is not a list")
            object.__setattr__(self, name, tuple(value))
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

    def nodes(self, arm: Arm) -> tuple[tuple[str, str], ...]:
        """(node, role) of every pod of an arm, the load's included."""
        return (*arm.nodes, *self.load.nodes)

    def _check_arms(self) -> None:
        if not self.arms:
            raise BadInput("Scenario: arms are missing")
        for arm in self.arms:
            if not isinstance(arm, Arm):
                raise BadInput(f"Scenario: arms: {arm!r} is not an Arm")
            if self.kind == "writes":
                self._check_database(arm)
            elif arm.routes:
                raise BadInput(f"Scenario: arm {arm.name} has routes to a database; its load must be SqlWriters(...)")
            else:
                arm.route()
                if not arm.alive_at_start:
                    raise BadInput(f"Scenario: arms: {arm.name} has no backend; add a Service")
        names = [arm.name for arm in self.arms]
        for name in names:
            if names.count(name) > 1:
                raise BadInput(f"Scenario: arms: two of them are named {name!r}")
        if not hasattr(self.load, "nodes") or not hasattr(self.load, "settings"):
            raise BadInput(f"Scenario: load={self.load!r} is not a load, e.g. HttpClients(count=30, rate_per_s=300)")

    def _check_database(self, arm: Arm) -> None:
        settings = arm.settings.get("postgres")
        if settings is None:
            raise BadInput(f"Scenario: arms: {arm.name} has no database; add a Postgres(...)")
        if not arm.routes:
            raise BadInput(f"Scenario: arm {arm.name}: routes are missing, e.g. routes=[MultiHost()]")
        pool, most = int(self.load.settings["pool"]), int(settings["max_connections"])
        needed = len(arm.routes) * (pool + 1) + _OWN_CONNECTIONS
        if needed > most:
            raise BadInput(
                f"Scenario: arm {arm.name}: pool={pool} for each of {len(arm.routes)} routes, readers and the lab "
                f"itself need {needed} connections, Postgres grants max_connections={most}; lower pool or raise it"
            )

    def _check_strikes(self) -> None:
        for number, strike in enumerate(self.strikes, 1):
            if not isinstance(strike, Strike):
                raise BadInput(f"Scenario: strikes: {strike!r} is not a Strike")
            for arm in self.arms:
                try:
                    strike.target.candidates(self.nodes(arm))
                except BadInput as error:
                    raise BadInput(f"strike {number}: arm {arm.name}: {error.what}") from None
        for (i, first), (j, second) in combinations(enumerate(self.strikes, 1), 2):
            if "leader" in (first.target.kind, second.target.kind):
                continue  # whom it hits is known only when it is due
            for arm in self.arms:
                shared = first.target.may_meet(second.target, self.nodes(arm))
                if shared and _overlap(first, second, len(shared)):
                    raise BadInput(
                        f"strikes {i} ({first}) and {j} ({second}) may overlap on {shared[0]}; use one Strike with "
                        "some(), name different nodes, or let the first end with for_s"
                    )

    def _check_hold(self) -> None:
        if self.hold_s is None:
            return
        check_number("Scenario", "hold_s", self.hold_s, above=0)
        for arm in self.arms:
            for change in self.changes:
                found = arm.bounds(change)
                if found is not None and self.hold_s < MARGIN * found.high_s:
                    raise BadInput(
                        f"Scenario: hold_s={self.hold_s:g} is shorter than {MARGIN:g} x the bound of arm {arm.name} "
                        f"for {change} ({found.high_s:.2f} s); raise it to {MARGIN * found.high_s:.1f} or leave it out"
                    )

    def _check_objectives(self) -> None:
        if not self.objectives:
            raise BadInput("Scenario: objectives are missing, e.g. worst(dead_but_listed_s) <= bound()")
        names = {arm.name for arm in self.arms}
        makes = frozenset[str]().union(*(strike.makes for strike in self.strikes))
        for objective in self.objectives:
            if not isinstance(objective, Objective):
                raise BadInput(f"Scenario: objectives: {objective!s} is not a comparison, e.g. worst(measure) <= 5")
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
                without = [change for change in changes if not arm.promises(change)]
                # What only prepares the failure of a database (a cut standby) need not promise anything by itself.
                if without and (self.kind == "views" or len(without) == len(changes)):
                    raise BadInput(f"objective {objective}: arm {arm.name} promises no bound for {without[0]}")


def _overlap(first: Strike, second: Strike, nodes: int) -> bool:
    """Whether the windows in which two strikes may hold a node have a common instant."""

    def window(strike: Strike) -> tuple[float, float]:
        last_s = strike.at_s + strike.every_s * max(strike.target.count, len(strike.target.names), nodes)
        return strike.at_s, math.inf if strike.for_s is None else last_s + strike.for_s

    (a, a_end), (b, b_end) = window(first), window(second)
    return a < b_end and b < a_end
