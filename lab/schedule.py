"""A plan for people: what happens when, in text; and the bounds of its arms, as a table. Needs no Docker."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass
from itertools import zip_longest
from textwrap import wrap
from typing import Any

from lab.plan import Plan, Trial, baseline_s, bound_s, hold_limit_s, settle_limit_s, spread_s
from lab.protocols import Bounds, Fault, Phase
from lab.scenario import Scenario

WIDTH = 100
"""Columns that text keeps to where it can."""
LABEL = 18
"""Columns of a route's name above its bounds."""
UP_S = 4.0
"""What bringing up an arm's pods takes, roughly."""
TRIAL_S = 3.0
"""What resetting, healing, being right for a second and collecting add to a trial, roughly."""


def plan_text(plan: Plan) -> str:
    """Every step of every trial with its time; the same seed gives the same text."""
    scenario = plan.scenario
    order = " | ".join(" ".join(arm.arm for arm in pair) for pair in _pairs(plan))
    trials = _count(len(plan.trials), "trial")
    lines = _wrapped(f"{plan.name}, seed {plan.seed}: {trials} in the order {order}", 4)
    for arm in plan.arms:
        nodes = scenario.nodes(arm)
        lines += _wrapped(f"up       {arm.name}: {_ranges(n for n, _ in nodes)} ({_count(len(nodes), 'pod')})", 9)
        if arm.routes:
            lines += _wrapped(f"routes   {arm.name}: {', '.join(route.label for route in arm.routes)}", 9)
    for trial in plan.trials:
        lines += ["", *_trial_lines(plan, trial)]
    return "\n".join([*lines, "", f"fingerprint {plan.fingerprint}", ""])


def bound_text(scenario: Scenario) -> str:
    """Each arm's bound for each change, phase by phase, and the setting that moves it most; from the settings alone.

    Of writes: each route's, best, mean and worst.
    """
    if scenario.kind == "writes":
        return _bounds_of_writes(scenario)
    blocks: list[list[list[str]]] = []
    for change in scenario.changes or ("return",):
        promised = [(arm.name, arm.promises(change).get("")) for arm in scenario.arms]
        names = _merged([[p.name for p in bounds.phases] for _, bounds in promised if bounds])
        head = ["arm", *(f"{change}: {n}" if i == 0 else n for i, n in enumerate(names)), "in all", "moved most by"]
        blocks.append([head, *(_bound_row(who, bounds, names) for who, bounds in promised)])
    return "\n\n".join(_table(block) for block in blocks) + "\n"


def about_s(plan: Plan) -> float:
    """Roughly how long the plan takes."""
    return sum(UP_S for _ in plan.arms) + sum(_trial_about_s(plan, trial) for trial in plan.trials)


def about_text(seconds: float) -> str:
    """Such a time in words: "about 2 min 20 s"."""
    tens = max(10, round(seconds / 10) * 10)
    minutes, rest = divmod(tens, 60)
    parts = [f"{minutes} min"] * (minutes > 0) + [f"{rest} s"] * (rest > 0)
    return "about " + " ".join(parts)


def _trial_about_s(plan: Plan, trial: Trial) -> float:
    scenario, arm = plan.scenario, plan.arm(trial.arm)
    if scenario.kind == "writes":
        faults = [planned.fault.name for planned in trial.strikes]
        down_s = sum(max((b.mean_s for b in arm.promises(fault).values()), default=1.0) for fault in faults)
        held_s = 2 * scenario.watch_s if trial.strikes else scenario.quiet_s
        return baseline_s(arm) + arm.beat_s / 2 + down_s + held_s + TRIAL_S
    if not trial.strikes:
        return baseline_s(arm) + scenario.quiet_s + TRIAL_S
    # A worst client comes close to its bound, the middle of it is what the phases add up to on average.
    wrong_s = 0.65 * bound_s(scenario, arm)
    struck_s = arm.beat_s / 2 + trial.strikes[-1].at_s + spread_s(arm, trial)
    return baseline_s(arm) + struck_s + 2 * wrong_s + TRIAL_S


def _trial_lines(plan: Plan, trial: Trial) -> list[str]:
    scenario, arm = plan.scenario, plan.arm(trial.arm)
    baseline = baseline_s(arm)
    lines = [
        f"trial {trial.number}  {trial.arm}  repeat {trial.repeat}",
        _step("0.00", f"baseline: {_load(scenario)}, nothing is broken"),
    ]
    if not trial.strikes:
        quiet_s = scenario.quiet_s
        return [*lines, _step(f"{baseline:.2f}", f"hold: {quiet_s:g} s, nothing happens"), _step("", "collect")]
    wait = f"wait for phase {trial.strikes[0].phase:.2f} of the {arm.beat_name} ({arm.beat_s:.3g} s): T"
    lines.append(_step(f"{baseline:.2f}", wait if arm.beat_s > 0 else "T"))
    for index, planned in enumerate(trial.strikes):
        phase = f"   at {planned.phase:.2f}" + (f" of the {arm.beat_name}" if index == 0 else "")
        ends = f" for {planned.for_s:g} s" if planned.for_s is not None else ""
        struck = f"{planned.fault.name} {planned.target}{_settings(planned.fault)}"
        what = f"{struck}{ends}{phase if arm.beat_s > 0 else ''}"
        lines.append(_step(f"T + {planned.at_s:.2f}", what))
    on_s = spread_s(arm, trial)
    last_s = trial.strikes[-1].at_s + hold_limit_s(scenario, arm) + on_s
    if scenario.kind == "writes":
        hold = f"hold: until writes are acknowledged again on every route, and {scenario.watch_s:g} s on"
    else:
        hold = "hold: until every client has been right for 1 s" + (f", and {on_s:.2f} s on" if on_s else "")
    lines.append(_step(f"<= T + {last_s:.2f}", hold))
    last_s += settle_limit_s(scenario, arm)
    end = (
        "read rows, heal, settle, read rows, rejoin, collect" if scenario.kind == "writes" else "heal, settle, collect"
    )
    return [*lines, _step(f"<= T + {last_s:.2f}", end)]


def _settings(fault: Fault) -> str:
    """What a fault was told beside its defaults: " (away_from=postgres1)"."""
    known: Mapping[str, Field[Any]] = {} if hasattr(fault, "origin") else getattr(fault, "__dataclass_fields__", {})
    said = []
    for name, field in known.items():
        value = getattr(fault, name)
        if field.init and value != field.default:
            said.append(f"{name}={' '.join(map(str, value)) if isinstance(value, tuple) else value}")
    return f" ({', '.join(said)})" if said else ""


def _wrapped(text: str, indent: int) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)


def _load(scenario: Scenario) -> str:
    load = scenario.load
    if scenario.kind == "writes":
        return f"{load.rate_per_s:g} writes a second by every route"
    return f"{load.count} clients, {load.rate_per_s:g} requests a second"


def _step(when: str, what: str) -> str:
    return f"  {when:>12}   {what}" if len(when) <= 12 else f" {when:>13}   {what}"


def _pairs(plan: Plan) -> list[Sequence[Trial]]:
    size = 2 * len(plan.arms)
    return [plan.trials[i : i + size] for i in range(0, len(plan.trials), size)]


def _merged(orders: Sequence[Sequence[str]]) -> list[str]:
    """Every name once, each behind those that it follows where it stands."""
    found: list[str] = []
    for names in orders:
        at = 0
        for name in names:
            if name not in found:
                found.insert(at, name)
            at = found.index(name) + 1
    return found


def _bound_row(who: str, found: Bounds | None, names: Sequence[str]) -> list[str]:
    if found is None:
        return [who, *("-" for _ in names), "nothing promised", "-"]
    phases = {phase.name: phase for phase in found.phases}
    cells = [_span(phases[n].low_s, phases[n].high_s) if n in phases else "-" for n in names]
    return [who, *cells, _span(found.low_s, found.high_s), _most(found)]


def _most(found: Bounds) -> str:
    """The setting that moves it most."""
    moved = [phase for phase in found.phases if phase.moved_by]
    return max(moved, key=lambda phase: phase.high_s).moved_by if moved else "-"


def _bounds_of_writes(scenario: Scenario) -> str:
    """A table for each fault: phases down, arms and routes across, as many arms side by side as fit."""
    text = ["From the first write that fails until writes are acknowledged again: best / mean / worst, in seconds"]
    for change in scenario.changes or ("crash",):
        targets = ", ".join(dict.fromkeys(str(s.target) for s in scenario.strikes if s.fault.name == change))
        text += ["", change + (f" of {targets}" if targets else "")]
        side_by_side: list[_Column] = []
        silent: dict[str, list[str]] = {}
        for arm in scenario.arms:
            columns: list[_Column] = []
            for label in (route.label for route in arm.routes):
                if why := scenario.unbounded(arm, change, label):
                    silent.setdefault(why, []).append(f"{arm.name} {label}")
                else:
                    columns.append(_Column(arm.name, label, arm.promises(change)[label]))
            if side_by_side and max(map(len, _across([*side_by_side, *columns]))) > WIDTH:
                text += ["", *_across(side_by_side), *_movers(side_by_side)]
                side_by_side = []
            side_by_side += columns
        if side_by_side:
            text += ["", *_across(side_by_side), *_movers(side_by_side)]
        for why, names in silent.items():
            text += ["", *_wrapped(f"nothing is promised to {', '.join(names)}: {why}", 2)]
    return "\n".join(text) + "\n"


@dataclass(frozen=True, slots=True)
class _Column:
    """What one route of one arm is promised."""

    arm: str
    route: str
    bounds: Bounds

    def phase(self, name: str) -> Phase | None:
        return next((phase for phase in self.bounds.phases if phase.name == name), None)


def _across(columns: Sequence[_Column]) -> list[str]:
    """The lines of one table."""
    heads = [[column.arm, *wrap(column.route, LABEL)] for column in columns]
    rows = [["", *cells] for cells in zip_longest(*heads, fillvalue="")]
    for name in _merged([[phase.name for phase in column.bounds.phases] for column in columns]):
        found = [column.phase(name) for column in columns]
        rows.append([name, *(_best_mean_worst(p.low_s, p.expected_s, p.high_s) if p else "-" for p in found)])
    totals = [column.bounds for column in columns]
    rows.append(["in all", *(_best_mean_worst(b.low_s, b.mean_s, b.high_s) for b in totals)])
    return _table(rows).splitlines()


def _movers(columns: Sequence[_Column]) -> list[str]:
    """A line for each setting: which phases of which columns it moves, and where it is what moves most."""
    moved: dict[str, dict[str, list[_Column]]] = {}
    for column in columns:
        for phase in column.bounds.phases:
            if phase.moved_by:
                moved.setdefault(phase.moved_by, {}).setdefault(phase.name, []).append(column)
    lines = []
    width = max(map(len, moved), default=0)
    for setting, phases in moved.items():
        told = [f"{name}{_of(those, columns)}" for name, those in phases.items()]
        most = [column for column in columns if _most(column.bounds) == setting]
        told += [f"moves most{_of(most, columns)}"] if most else []
        lines += _wrapped(f"  {setting:<{width}}  {'; '.join(told)}", width + 4)
    return ["moved by", *lines] if lines else []


def _of(those: Sequence[_Column], columns: Sequence[_Column]) -> str:
    """Which columns, where these are not all: " of dns, zookeeper", by their arms or routes where that tells."""
    if len(those) == len(columns):
        return ""
    arms = list(dict.fromkeys(column.arm for column in those))
    routes = list(dict.fromkeys(column.route for column in those))
    if those == [column for column in columns if column.arm in arms]:
        names = arms
    elif those == [column for column in columns if column.route in routes]:
        names = routes
    else:
        names = [f"{column.arm} {column.route}" for column in those]
    return f" of {', '.join(names)}"


def _best_mean_worst(low_s: float, mean_s: float, high_s: float) -> str:
    return f"{low_s:.3g} / {mean_s:.3g} / {high_s:.3g}"


def _span(low_s: float, high_s: float) -> str:
    return f"{low_s:.3g} s" if abs(high_s - low_s) < 0.0005 else f"{low_s:.3g} to {high_s:.3g} s"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _ranges(names: Iterable[str]) -> str:
    """backend1 backend2 backend3 -> backend1..3, in the order of their first."""
    groups: dict[str, list[int]] = {}
    for name in names:
        stem, number = re.fullmatch(r"(.*?)(\d*)", name).groups()  # type: ignore[union-attr]  # it always matches
        groups.setdefault(stem, []).append(int(number or 0))
    parts = []
    for stem, numbers in groups.items():
        if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
            parts.append(f"{stem}{numbers[0]}..{numbers[-1]}")
        else:
            parts += [f"{stem}{number or ''}" for number in numbers]
    return " ".join(parts)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
