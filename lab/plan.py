"""The plan: a scenario with every random choice made from a seed. Pure: same scenario and seed, same plan.

Each choice has its own key, Random("seed/what it is for"), never a place in one stream, and no key names an arm: arms
share every draw, and taking an arm or a strike away changes no other draw.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lab.errors import BadInput
from lab.objectives import Objective
from lab.protocols import Fault, Fields
from lab.recorded import scenario_from_json, scenario_to_json
from lab.scenario import MARGIN, Arm, Scenario, Strike

SCHEMA = 1

_GOLDEN = 0.6180339887498949
"""Multiples of it fill [0, 1) evenly, however many are taken: strata that do not depend on the number of repeats."""


@dataclass(frozen=True, slots=True)
class PlannedStrike:
    """One fault on one node."""

    strike: int
    """From 1, in order of time."""
    fault: Fault
    target: str
    at_s: float
    """After the first strike."""
    phase: float
    """Of the arm's beat, 0 to 1, when it falls; the first strike's phase is shared by the arms."""
    for_s: float | None = None
    """How long it holds; None: until the trial heals."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: an arm, and what strikes it."""

    number: int
    """From 1, in the order in which they are carried out."""
    arm: str
    repeat: int
    """From 1; trials of one repeat share their draws."""
    strikes: tuple[PlannedStrike, ...]

    def replacement(self, number: int) -> Trial:
        """The same trial once more, instead of one that came out unknown."""
        return replace(self, number=number)


@dataclass(frozen=True)
class Plan:
    """Everything a run does, decided."""

    scenario: Scenario
    name: str
    source: str
    """How the script is found again: its name where it is shipped with the lab, else its path; "" for none."""
    seed: str
    sets: Mapping[str, str]
    """What --set changed, for the reproduce line; the scenario has it already."""
    trials: tuple[Trial, ...]
    claim: str = field(default="", compare=False)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that run, in the scenario's order."""
        run = {trial.arm for trial in self.trials}
        return tuple(arm for arm in self.scenario.arms if arm.name in run)

    @property
    def repeats(self) -> int:
        """Trials of each arm."""
        return max(trial.repeat for trial in self.trials)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives that are asked: those all of whose arms run."""
        run = {arm.name for arm in self.arms}
        return tuple(objective for objective in self.scenario.objectives if set(objective.arms) <= run)

    @property
    def fingerprint(self) -> str:
        """Eight hex digits of everything that decides what happens; where the script lies does not count."""
        data = self.to_json(fingerprint=False)
        for name in ("source", "claim", "sets"):
            del data[name]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]

    def arm(self, name: str) -> Arm:
        """An arm of the scenario by name."""
        return next(arm for arm in self.scenario.arms if arm.name == name)

    def to_json(self, *, fingerprint: bool = True) -> Fields:
        """As plain JSON values (plan.json)."""
        data: Fields = {
            "schema": SCHEMA,
            "name": self.name,
            "claim": self.claim,
            "source": self.source,
            "seed": self.seed,
            "sets": dict(self.sets),
            "scenario": scenario_to_json(self.scenario),
            "trials": [_trial_to_json(trial, self.scenario) for trial in self.trials],
        }
        return data | {"fingerprint": self.fingerprint} if fingerprint else data

    @classmethod
    def from_json(cls, data: Fields, *, runnable: bool = False) -> Plan:
        """The plan back. `runnable`: with its real systems and faults; else what they said of themselves, which is
        enough to judge and to show it. Raises BadInput when it cannot be had.
        """
        if data.get("schema", 0) > SCHEMA:
            raise BadInput(f"plan: written by a newer lab (schema {data['schema']}); read it with that one")
        try:
            scenario = scenario_from_json(data["scenario"], data["source"], runnable=runnable)
            return cls(
                scenario=scenario,
                name=data["name"],
                source=data["source"],
                seed=data["seed"],
                sets=data["sets"],
                trials=tuple(_trial_from_json(trial, scenario) for trial in data["trials"]),
                claim=data["claim"],
            )
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise BadInput(f"plan: is not one ({type(error).__name__}: {error})") from error


def make_plan(
    scenario: Scenario,
    seed: str | int,
    arms: Sequence[str] | None = None,
    repeats: int | None = None,
    *,
    name: str = "scenario",
    source: str = "",
    claim: str = "",
    sets: Mapping[str, str] | None = None,
) -> Plan:
    """Make every choice. Trials go A B B A, so that a drift of the machine falls on all arms alike.

    Raises BadInput for an arm that the scenario does not have, or repeats below 1.
    """
    chosen = _chosen(scenario, arms)
    if repeats is not None:
        scenario = replace(scenario, repeats=repeats)
    trials: list[Trial] = []
    for repeat in range(1, scenario.repeats + 1):
        for arm in chosen if repeat % 2 else reversed(chosen):
            strikes = _strikes(scenario, arm, str(seed), repeat)
            trials.append(Trial(len(trials) + 1, arm.name, repeat, strikes))
    return Plan(scenario, name, source, str(seed), dict(sets or {}), tuple(trials), claim)


def baseline_s(arm: Arm) -> float:
    """How long clients run before anything is broken: every cache turned over once, and the load's rate was seen."""
    return max(3.0, arm.beat_s + 1.0)


def bound_s(scenario: Scenario, arm: Arm) -> float:
    """The largest bound of an arm over all that the scenario does to it; 5 s where nothing is promised."""
    found = [bounds.high_s for change in scenario.changes if (bounds := arm.bounds(change)) is not None]
    return max(found, default=5.0)


def hold_limit_s(scenario: Scenario, arm: Arm) -> float:
    """After how long a hold ends although some client is wrong: the bound, the margin, and being right for 1 s."""
    return scenario.hold_s if scenario.hold_s is not None else MARGIN * bound_s(scenario, arm) + 1.5


def spread_s(arm: Arm, trial: Trial) -> float:
    """How long a hold goes on when everybody is right, before a return.

    It ends in step with the beat: when the last cache was refreshed. Healed at once, every return would meet the same
    phase of the TTL. The first strike's phase covers the beat evenly over the repeats: returns wait for so much of it.
    What writes wait for after a heal has no such clock.
    """
    if arm.routes:
        return 0.0
    returns = any(planned.for_s is None and planned.fault.leaves == "dead" for planned in trial.strikes)
    return trial.strikes[0].phase * arm.beat_s if returns else 0.0


def settle_limit_s(scenario: Scenario, arm: Arm) -> float:
    """The same for the return, with time for the servers to start."""
    return MARGIN * bound_s(scenario, arm) + 10.0


def random_of(seed: str, *key: object) -> random.Random:
    """The generator of one purpose; the same key gives the same draws, whatever else was drawn."""
    return random.Random("/".join(map(str, (seed, *key))))


def _chosen(scenario: Scenario, names: Sequence[str] | None) -> list[Arm]:
    known = {arm.name: arm for arm in scenario.arms}
    for name in names or ():
        if name not in known:
            raise BadInput(f"--arm: there is no arm {name!r}; arms are {', '.join(known)}")
    return [arm for arm in scenario.arms if names is None or arm.name in names]


def _strikes(scenario: Scenario, arm: Arm, seed: str, repeat: int) -> tuple[PlannedStrike, ...]:
    nodes = scenario.nodes(arm)
    due: list[tuple[float, Strike, str]] = []
    for strike, key in _keys(scenario.strikes):

        def rank(node: str, key: str = key) -> float:
            return random_of(seed, "target", key, repeat, node).random()

        for index, target in enumerate(strike.target.draw(nodes, rank)):
            due.append((round(strike.at_s + index * strike.every_s, 6), strike, target))
    due.sort(key=lambda item: item[0])
    offset = random_of(seed, "phase").random()
    first_phase = (offset + (repeat - 1) * _GOLDEN) % 1.0
    return tuple(
        PlannedStrike(
            strike=number,
            fault=strike.fault,
            target=target,
            at_s=round(at_s - due[0][0], 6),
            phase=_phase(first_phase, at_s - due[0][0], arm.beat_s),
            for_s=strike.for_s,
        )
        for number, (at_s, strike, target) in enumerate(due, 1)
    )


def _keys(strikes: Iterable[Strike]) -> list[tuple[Strike, str]]:
    """Each strike with the key of its draws: what it is, not its place in the list."""
    seen: Counter[str] = Counter()
    keyed: list[tuple[Strike, str]] = []
    for strike in strikes:
        key = f"{strike.fault.name} {strike.target.role} {strike.at_s:g}"
        seen[key] += 1
        keyed.append((strike, f"{key} {seen[key]}"))
    return keyed


def _phase(first: float, after_s: float, beat_s: float) -> float:
    return round((first + (after_s / beat_s if beat_s > 0 else 0.0)) % 1.0, 4) % 1.0


def _trial_to_json(trial: Trial, scenario: Scenario) -> Fields:
    faults = [strike.fault for strike in scenario.strikes]
    return {
        "number": trial.number,
        "arm": trial.arm,
        "repeat": trial.repeat,
        "strikes": [
            {
                "strike": planned.strike,
                "fault": planned.fault.name,
                "of": faults.index(planned.fault),
                "target": planned.target,
                "at_s": planned.at_s,
                "phase": planned.phase,
                "for_s": planned.for_s,
            }
            for planned in trial.strikes
        ],
    }


def _trial_from_json(data: Fields, scenario: Scenario) -> Trial:
    scenario_arms = {arm.name for arm in scenario.arms}
    if data["arm"] not in scenario_arms:
        raise ValueError(f"trial {data['number']}: there is no arm {data['arm']!r}")
    return Trial(
        data["number"],
        data["arm"],
        data["repeat"],
        tuple(
            PlannedStrike(
                strike=item["strike"],
                fault=scenario.strikes[item["of"]].fault,
                target=item["target"],
                at_s=item["at_s"],
                phase=item["phase"],
                for_s=item["for_s"],
            )
            for item in data["strikes"]
        ),
    )
