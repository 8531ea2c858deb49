"""--set name=value: a scenario with some of its settings changed; it validates itself anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lab.errors import BadInput
from lab.scenario import Arm, Scenario, Strike

_OF_SCENARIO = ("repeats", "quiet_s", "hold_s", "watch_s")
_OF_STRIKE = ("at_s", "every_s", "for_s")


def apply_sets(scenario: Scenario, sets: Mapping[str, str]) -> Scenario:
    """Set fields by name: of systems ("ttl_s", in every arm; "dns.ttl_s", in an arm or a system of that name), of the
    load ("load.count" or "count"), of faults, of strikes ("every_s") and of the scenario ("repeats").

    Raises BadInput for a name that is nowhere (and lists those that are) and for a value that does not fit.
    """
    if not sets:
        return scenario
    change = _Changes(sets)
    arms = [
        Arm(
            arm.name,
            *(change.applied(system, (arm.name, system.name)) for system in arm.systems),
            routes=[change.applied(route, (arm.name, route.label, route.kind)) for route in arm.routes],
        )
        for arm in scenario.arms
    ]
    load = change.applied(scenario.load, ("load",))
    strikes: list[Strike] = []
    for strike in scenario.strikes:
        fault = change.applied(strike.fault, (strike.fault.name,))
        strikes.append(change.applied(replace(strike, fault=fault), ("strike",), _OF_STRIKE))
    objectives = {"arms": arms, "load": load, "strikes": strikes}
    # All at once: the scenario must not be judged between two settings that only fit together.
    values = change.values_for(scenario, ("scenario",), _OF_SCENARIO)
    change.refuse_unknown()
    return replace(scenario, **objectives, **values)


class _Changes:
    def __init__(self, sets: Mapping[str, str]) -> None:
        self.sets = sets
        self.used: set[str] = set()
        self.possible: dict[str, None] = {}

    def applied(self, value: Any, owners: tuple[str, ...], only: tuple[str, ...] | None = None) -> Any:
        values = self.values_for(value, owners, only)
        if not values:
            return value
        try:
            return replace(value, **values)
        except BadInput as error:
            raise error.at("--set " + " ".join(f"{k}={v}" for k, v in self.sets.items())) from None

    def values_for(self, value: Any, owners: tuple[str, ...], only: tuple[str, ...] | None = None) -> dict[str, Any]:
        if not is_dataclass(value) or isinstance(value, type):
            return {}
        hints = get_type_hints(type(value))
        found: dict[str, Any] = {}
        for item in fields(value):
            if not item.init or (only is not None and item.name not in only) or not _settable(hints[item.name]):
                continue
            self.possible.setdefault(item.name)
            for name in (item.name, *(f"{owner}.{item.name}" for owner in owners)):
                if name in self.sets:
                    self.used.add(name)
                    found[item.name] = _parse(name, self.sets[name], hints[item.name])
        return found

    def refuse_unknown(self) -> None:
        for name in self.sets:
            if name not in self.used:
                raise BadInput(
                    f"there is no such setting; settings are {', '.join(sorted(self.possible))}", f"--set {name}"
                )


def parse_sets(pairs: tuple[str, ...]) -> dict[str, str]:
    """name=value pairs as a person typed them. Raises BadInput."""
    sets: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise BadInput("write name=value, e.g. --set ttl_s=2", f"--set {pair}")
        sets[name.strip()] = value.strip()
    return sets


def _settable(hint: Any) -> bool:
    return bool(set(_options(hint)) & {int, float, bool, str}) or any(get_origin(o) is Literal for o in _options(hint))


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _parse(name: str, text: str, hint: Any) -> Any:
    options = _options(hint)
    words: list[str] = []
    for option in options:
        if option is NoneType and text.lower() == "none":
            return None
        if option is bool:
            words.append("true or false")
            if text.lower() in ("true", "false"):
                return text.lower() == "true"
        elif option in (int, float):
            words.append("a whole number" if option is int else "a number")
            try:
                return option(text)
            except ValueError:
                continue
        elif option is str:
            return text
        elif get_origin(option) is Literal:
            words.append(" or ".join(map(str, get_args(option))))
            if text in get_args(option):
                return text
    raise BadInput(f"{text!r} is not {' or '.join(words)}", f"--set {name}")
