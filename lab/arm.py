"""One of the things compared: the systems that make it up, the routes of its clients, and what both of them promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass

from lab.errors import BadInput
from lab.fields import shown
from lab.protocols import Bounds, ClientRoute, Fields, Route, System


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
        if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            raise BadInput(f"Arm: name={name!r} must be letters, digits, - and _")
        if not systems:
            raise BadInput(f"Arm {name}: systems are missing, e.g. Arm({name!r}, Service(instances=8), Dns())")
        for system in systems:
            if isinstance(system, type):
                raise BadInput(f"Arm {name}: {system.__name__} is a class; write {system.__name__}()")
            if not hasattr(system, "compose_files") or not hasattr(system, "bounds"):
                raise BadInput(f"Arm {name}: {shown(system)} is not a system; see lab.systems")
        # Each arm has copies of its own: what a system promises may depend on those that it stands beside.
        systems = tuple(copy(system) if hasattr(system, "check_beside") else system for system in systems)
        object.__setattr__(self, "systems", systems)
        object.__setattr__(self, "routes", _routes(name, routes))
        try:
            for system in self.systems:
                if (check := getattr(system, "check_beside", None)) is not None:
                    check(self.systems, self.routes)
            for route in self.routes:
                route.check_beside(self.systems)
        except BadInput as error:
            raise BadInput(f"Arm {name}: {error.what}") from None
        names = [node for node, _ in self.nodes]
        for node in names:
            if names.count(node) > 1:
                raise BadInput(f"Arm {name}: two of its systems bring a node {node!r}; one of them has to go")

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
    def raced(self) -> tuple[System, ...]:
        """The systems whose clock strikes may race against, the one that counts first: of a database, that which fails
        it over."""
        return tuple(sorted(self.systems, key=lambda system: not (self.routes and _fails_over(system))))

    @property
    def beat_s(self) -> float:
        """Seconds of the clock that strikes race against; 0 where there is none."""
        return next((system.beat_s for system in self.raced if system.beat_s > 0), 0.0)

    @property
    def beat_name(self) -> str:
        """What that clock is called: "ttl"."""
        return next((getattr(s, "beat_name", f"{s.name} beat") for s in self.raced if s.beat_s > 0), "")

    def route(self) -> Route:
        """How its clients discover. Raises BadInput where none of its systems says."""
        for system in self.systems:
            if (found := system.route()) is not None:
                return found
        raise BadInput(f"Arm {self.name}: none of its systems gives clients a way to discover instances")

    def mechanism(self, change: str) -> Bounds | None:
        """What the systems promise for a fault's name or "return", without the routes of a database; None: nothing."""
        asked = [s for s in self.systems if _fails_over(s)] if self.routes else self.systems
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

    @property
    def watched_from(self) -> frozenset[str]:
        """Roles and names of the nodes from which a failover system sees whether the leader lives."""
        roles = {getattr(system, "watched_from", "") for system in self.systems} - {""}
        return frozenset(roles | {node for node, role in self.nodes if role in roles})

    def unbounded(self, change: str, label: str = "") -> str:
        """Why it (or its route of that label) promises nothing for a change, for people; "" where it does."""
        promises = self.promises(change)
        if label in promises or (promises and not label):
            return ""
        if not self.routes:
            return "none of its systems says how long that takes"
        those = [system for system in self.systems if _fails_over(system)]
        if not those:
            return "none of its systems fails over (Controller(), Manual() and Patroni() do)"
        if self.mechanism(change) is None:
            why = getattr(those[0], "unbounded", None)
            return (why(change) if why is not None else "") or f"{those[0].name} does not answer it with a failover"
        route = next(route for route in self.routes if label in ("", route.label))
        why = getattr(route, "unbounded", None)
        return (why(change) if why is not None else "") or f"its clients have no way round ({route.kind})"


def _fails_over(system: System) -> bool:
    return bool(getattr(system, "fails_over", False))


def _routes(arm: str, routes: object) -> tuple[ClientRoute, ...]:
    """An arm's routes, each a route and with a label of its own. Raises BadInput."""
    if isinstance(routes, str) or not isinstance(routes, Sequence):
        raise BadInput(f"Arm {arm}: routes={shown(routes)} is not a list; write routes=[MultiHost()]")
    for route in routes:
        if isinstance(route, type):
            raise BadInput(f"Arm {arm}: routes: {route.__name__} is a class; write {route.__name__}()")
        if not all(hasattr(route, member) for member in ("label", "kind", "phases", "check_beside")):
            raise BadInput(f"Arm {arm}: routes: {shown(route)} is not a route; see lab.routes, e.g. MultiHost()")
    labels = [route.label for route in routes]
    for label in labels:
        if labels.count(label) > 1:
            raise BadInput(f"Arm {arm}: two of its routes are called {label!r}; give one of them a name=")
    return tuple(routes)
