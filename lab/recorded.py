"""Scenarios in plan.json: every class by "module:name" and its settings, and beside them what it said of itself.

A plan that is run again needs the classes; a run that is only judged again does not: what its systems and faults said
of themselves is enough, so old run folders stay readable when a class has moved or a script is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import import_module
from operator import attrgetter
from typing import Any, NoReturn

from lab.catalogue import SCRIPT_MODULE, load
from lab.errors import BadInput
from lab.measures import BY_NAME, Measure
from lab.objectives import Bound, Objective
from lab.protocols import (
    Bounds,
    ClientRoute,
    Evidence,
    Fault,
    Fields,
    Injection,
    Load,
    Phase,
    Route,
    Site,
    Stack,
    System,
)
from lab.scenario import Arm, Scenario, Strike
from lab.selectors import Selector


@dataclass(frozen=True, slots=True)
class RecordedFault:
    """A fault as a plan remembers it: it can be named, not carried out."""

    name: str
    needs: frozenset[str]
    leaves: str
    origin: Fields = field(compare=False, repr=False)

    def inject(self, site: Site) -> Injection:
        _not_here(self.name)

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        _not_here(self.name)

    def heal(self, site: Site, injection: Injection) -> None:
        _not_here(self.name)


@dataclass(frozen=True, slots=True)
class RecordedSystem:
    """A system as a plan remembers it: settings and promises, no hands."""

    name: str
    compose_files: tuple[str, ...]
    nodes: tuple[tuple[str, str], ...]
    settings: Fields
    promised: Mapping[str, Bounds]
    beat_s: float
    beat_name: str
    spare_nodes: tuple[str, ...]
    found_by: Route | None
    fails_over: bool
    origin: Fields = field(compare=False, repr=False)

    @property
    def environment(self) -> Mapping[str, str]:
        """Not recorded: it may hold secrets, and is made anew for every run."""
        return {}

    def route(self) -> Route | None:
        return self.found_by

    def bounds(self, change: str) -> Bounds | None:
        return self.promised.get(change)

    def beat(self, stack: Stack) -> NoReturn:
        _not_here(self.name)

    def lacking(self, stack: Stack) -> NoReturn:
        _not_here(self.name)

    def leader(self, stack: Stack) -> NoReturn:
        _not_here(self.name)

    def reset(self, stack: Stack) -> None:
        _not_here(self.name)


@dataclass(frozen=True, slots=True)
class RecordedRoute:
    """A client route as a plan remembers it: its settings and what it adds to the bounds."""

    label: str
    kind: str
    settings: Fields
    promised: Mapping[str, Bounds]
    origin: Fields = field(compare=False, repr=False)

    def check_beside(self, systems: Sequence[System]) -> None:
        """It was checked when it was planned."""

    def phases(self, change: str, systems: Sequence[System]) -> tuple[Phase, ...] | None:
        return self.promised[change].phases if change in self.promised else None


@dataclass(frozen=True, slots=True)
class RecordedLoad:
    """A load as a plan remembers it."""

    compose_files: tuple[str, ...]
    nodes: tuple[tuple[str, str], ...]
    settings: Fields
    count: int
    rate_per_s: float
    deadline_s: float
    kind: str = "views"
    origin: Fields = field(compare=False, repr=False, default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        """Not recorded, as for systems."""
        return {}


_Recorded = RecordedFault | RecordedSystem | RecordedRoute | RecordedLoad


def scenario_to_json(scenario: Scenario) -> Fields:
    """The scenario as plain JSON values. Raises BadInput for a system, load or fault that is not a dataclass."""
    return {
        "arms": [
            {
                "name": arm.name,
                "systems": [_system_to_json(system, scenario.changes) for system in arm.systems],
                **({"routes": [_route_to_json(route, arm, scenario) for route in arm.routes]} if arm.routes else {}),
            }
            for arm in scenario.arms
        ],
        "load": _load_to_json(scenario.load),
        "strikes": [
            {
                "fault": _fault_to_json(strike.fault),
                "target": _settings(strike.target),
                "at_s": strike.at_s,
                "every_s": strike.every_s,
                "for_s": strike.for_s,
            }
            for strike in scenario.strikes
        ],
        "objectives": [
            _objective_to_json(objective) | {"expected": scenario.expects.get(objective, "yes")}
            for objective in scenario.objectives
        ],
        "repeats": scenario.repeats,
        "quiet_s": scenario.quiet_s,
        "hold_s": scenario.hold_s,
        **({"watch_s": scenario.watch_s} if scenario.kind == "writes" else {}),
        "demonstration": scenario.demonstration,
    }


def scenario_from_json(data: Fields, source: str, *, runnable: bool) -> Scenario:
    """The scenario back; `runnable` with its real classes (a script's own by loading `source` again), else as recorded.

    Raises BadInput when a class cannot be had; KeyError and the like when this is not the JSON of a scenario.
    """
    wake = _Waker(source, runnable)
    objectives = [_objective_from_json(item) for item in data["objectives"]]
    pairs = zip(objectives, data["objectives"], strict=True)
    return Scenario(
        arms=[
            Arm(
                arm["name"],
                *(wake.system(item) for item in arm["systems"]),
                routes=[wake.route(item) for item in arm.get("routes", ())],
            )
            for arm in data["arms"]
        ],
        load=wake.load(data["load"]),
        strikes=[
            Strike(
                wake.fault(item["fault"]),
                Selector(**_tuples(item["target"])),
                item["at_s"],
                item["every_s"],
                item["for_s"],
            )
            for item in data["strikes"]
        ],
        objectives=objectives,
        repeats=data["repeats"],
        quiet_s=data["quiet_s"],
        hold_s=data["hold_s"],
        watch_s=data.get("watch_s", Scenario.watch_s),
        expects={objective: item["expected"] for objective, item in pairs if item["expected"] != "yes"},
        demonstration=data["demonstration"],
    )


def _fault_to_json(fault: Fault) -> Fields:
    if isinstance(fault, _Recorded):
        return fault.origin
    return _named(fault) | {"says": {"name": fault.name, "needs": sorted(fault.needs), "leaves": fault.leaves}}


def _system_to_json(system: System, changes: tuple[str, ...]) -> Fields:
    if isinstance(system, _Recorded):
        return system.origin
    promised = {change: system.bounds(change) for change in dict.fromkeys((*changes, "return"))}
    route = system.route()
    return _named(system) | {
        "says": {
            "name": system.name,
            "compose_files": list(system.compose_files),
            "nodes": [list(node) for node in system.nodes],
            "settings": system.settings,
            "promised": {change: _bounds_to_json(found) for change, found in promised.items() if found is not None},
            "beat_s": system.beat_s,
            "beat_name": getattr(system, "beat_name", f"{system.name} beat"),
            "spare_nodes": list(getattr(system, "spare_nodes", ())),
            **({"fails_over": True} if getattr(system, "fails_over", False) else {}),
            "route": None if route is None else {"kind": route.kind, "settings": route.settings},
        }
    }


def _route_to_json(route: ClientRoute, arm: Arm, scenario: Scenario) -> Fields:
    if isinstance(route, _Recorded):
        return route.origin
    changes = dict.fromkeys((*scenario.changes, "crash"))
    of_changes = {change: route.phases(change, arm.systems) for change in changes}
    promised = {change: Bounds(phases) for change, phases in of_changes.items() if phases is not None}
    return _named(route) | {
        "says": {
            "label": route.label,
            "kind": route.kind,
            "settings": route.settings,
            "promised": {change: _bounds_to_json(found) for change, found in promised.items()},
        }
    }


def _load_to_json(load: Load) -> Fields:
    if isinstance(load, _Recorded):
        return load.origin
    says = {name: getattr(load, name) for name in ("settings", "count", "rate_per_s", "deadline_s")}
    if getattr(load, "kind", "views") != "views":
        says["kind"] = load.kind  # type: ignore[attr-defined]  # a class attribute, which a shape cannot ask for
    return _named(load) | {
        "says": says
        | {
            "compose_files": list(load.compose_files),
            "nodes": [list(node) for node in load.nodes],
        }
    }


def _bounds_to_json(bounds: Bounds) -> list[Fields]:
    return [
        {"name": phase.name, "low_s": phase.low_s, "high_s": phase.high_s, "moved_by": phase.moved_by}
        | ({} if phase.mean_s is None else {"mean_s": phase.mean_s})
        for phase in bounds.phases
    ]


class _Waker:
    """Makes values of their JSON: real ones, or records."""

    def __init__(self, source: str, runnable: bool) -> None:
        self.source, self.runnable = source, runnable
        self._script: Any = None

    def system(self, data: Fields) -> System:
        if self.runnable:
            made: System = self._real(data)
            return made
        says = data["says"]
        return RecordedSystem(
            name=says["name"],
            compose_files=tuple(says["compose_files"]),
            nodes=tuple((node, role) for node, role in says["nodes"]),
            settings=says["settings"],
            promised={
                change: Bounds(tuple(Phase(**phase) for phase in phases)) for change, phases in says["promised"].items()
            },
            beat_s=says["beat_s"],
            beat_name=says["beat_name"],
            spare_nodes=tuple(says["spare_nodes"]),
            found_by=None if says["route"] is None else Route(**says["route"]),
            fails_over=says.get("fails_over", False),
            origin=data,
        )

    def route(self, data: Fields) -> ClientRoute:
        if self.runnable:
            made: ClientRoute = self._real(data)
            return made
        says = data["says"]
        promised = {
            change: Bounds(tuple(Phase(**phase) for phase in phases)) for change, phases in says["promised"].items()
        }
        return RecordedRoute(says["label"], says["kind"], says["settings"], promised, data)

    def load(self, data: Fields) -> Load:
        if self.runnable:
            made: Load = self._real(data)
            return made
        says = data["says"]
        nodes = tuple((node, role) for node, role in says["nodes"])
        return RecordedLoad(**says | {"compose_files": tuple(says["compose_files"]), "nodes": nodes}, origin=data)

    def fault(self, data: Fields) -> Fault:
        if self.runnable:
            made: Fault = self._real(data)
            return made
        says = data["says"]
        return RecordedFault(says["name"], frozenset(says["needs"]), says["leaves"], data)

    def _real(self, data: Fields) -> Any:
        module, _, name = data["class"].partition(":")
        try:
            kind = attrgetter(name)(self._module(module))
        except (ImportError, AttributeError) as error:
            raise BadInput(f"class {data['class']} cannot be found ({error})") from error
        if not isinstance(kind, type) or not is_dataclass(kind):
            raise BadInput(f"class {data['class']} is not a dataclass")
        try:
            return kind(**_tuples(data["settings"]))
        except TypeError as error:
            raise BadInput(f"class {data['class']}: {error}") from error

    def _module(self, name: str) -> Any:
        if name != "script":
            return import_module(name)
        if self._script is None:
            self._script = load(self.source).module
        return self._script


def _named(value: Any) -> Fields:
    kind = type(value)
    if not is_dataclass(value):
        raise BadInput(f"{kind.__name__} cannot be written into a plan: make it a frozen dataclass")
    module = "script" if kind.__module__.startswith(SCRIPT_MODULE) else kind.__module__
    return {"class": f"{module}:{kind.__qualname__}", "settings": _settings(value)}


def _settings(value: Any) -> Fields:
    return {item.name: _plain(getattr(value, item.name), value) for item in fields(value) if item.init}


def _plain(value: Any, owner: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_plain(item, owner) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, owner) for key, item in value.items()}
    raise BadInput(
        f"{type(owner).__name__}: {value!r} cannot be written into a plan; use numbers, text, tuples or dicts"
    )


def _tuples(settings: Fields) -> Fields:
    def back(value: Any) -> Any:
        return tuple(back(item) for item in value) if isinstance(value, list) else value

    return {name: back(value) for name, value in settings.items()}


def _objective_to_json(objective: Objective) -> Fields:
    right = "bound()" if isinstance(objective.right, Bound) else objective.right
    names = ("reduction", "operator", "arm", "first", "second")
    return {name: getattr(objective, name) for name in names} | {
        "measure": _settings(objective.measure),
        "right": right,
    }


def _objective_from_json(data: Fields) -> Objective:
    values = {name: data[name] for name in ("reduction", "operator", "arm", "first", "second")}
    measure = BY_NAME.get(data["measure"]["name"]) or Measure(**data["measure"])
    return Objective(measure=measure, right=Bound() if data["right"] == "bound()" else data["right"], **values)


def _not_here(name: str) -> NoReturn:
    raise BadInput(f"{name} is only known from a recorded plan and cannot be carried out")
