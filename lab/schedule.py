"""A plan for people: what happens when, in text; and the bounds of its arms, as a table. Needs no Docker."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lab.plan import Plan, Trial, baseline_s, bound_s, hold_limit_s, settle_limit_s, spread_s
from lab.protocols import Bounds
from lab.scenario import Arm, Scenario

UP_S = 4.0
"""What bringing up an arm's pods takes, roughly."""
TRIAL_S = 3.0
"""What resetting, healing, being right for a second and collecting add to a trial, roughly."""


def plan_text(plan: Plan) -> str:
    """Every step of every trial with its time; the same seed gives the same text."""
    scenario = plan.scenario
    order = " | ".join(" ".join(arm.arm for arm in pair) for pair in _pairs(plan))
    lines = [f"{plan.name}, seed {plan.seed}: {_count(len(plan.trials), 'trial')} in the order {order}"]
    for arm in plan.arms:
        nodes = scenario.nodes(arm)
        lines.append(f"up       {arm.name}: {_ranges(node for node, _ in nodes)} ({_count(len(nodes), 'pod')})")
    for trial in plan.trials:
        lines += ["", *_trial_lines(plan, trial)]
    return "\n".join([*lines, "", f"fingerprint {plan.fingerprint}", ""])


def bound_text(scenario: Scenario) -> str:
    """Each arm's bound for each change, phase by phase, and the setting that moves it most; from the settings alone.

    Of writes: each route's, best, mean and worst.
    """
    blocks: list[list[list[str]]] = []
    for change in scenario.changes or ("crash" if scenario.kind == "writes" else "return",):
        promised: list[tuple[str, Bounds | None]] = []
        for arm in scenario.arms:
            labels = [route.label for route in arm.routes] or [""]
            found = {label: arm.promises(change).get(label) for label in labels}
            promised += [(f"{arm.name}  {label}".rstrip(), bounds) for label, bounds in found.items()]
        names = _merged([[p.name for p in bounds.phases] for _, bounds in promised if bounds])
        owner = "arm  route" if scenario.kind == "writes" else "arm"
        head = [owner, *(f"{change}: {n}" if i == 0 else n for i, n in enumerate(names)), "in all", "moved most by"]
        with_mean = scenario.kind == "writes"
        blocks.append([head, *(_bound_row(who, bounds, names, with_mean) for who, bounds in promised)])
    note = "best / mean / worst, in seconds\n\n" if scenario.kind == "writes" else ""
    return note + "\n\n".join(_table(block) for block in blocks) + "\n"


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
        _step("0.00", f"baseline: {_load(scenario, arm)}, nothing is broken"),
    ]
    if not trial.strikes:
        quiet_s = scenario.quiet_s
        return [*lines, _step(f"{baseline:.2f}", f"hold: {quiet_s:g} s, nothing happens"), _step("", "collect")]
    wait = f"wait for phase {trial.strikes[0].phase:.2f} of the {arm.beat_name} ({arm.beat_s:.3g} s): T"
    lines.append(_step(f"{baseline:.2f}", wait if arm.beat_s > 0 else "T"))
    for index, planned in enumerate(trial.strikes):
        phase = f"   at {planned.phase:.2f}" + (f" of the {arm.beat_name}" if index == 0 else "")
        ends = f" for {planned.for_s:g} s" if planned.for_s is not None else ""
        what = f"{planned.fault.name} {planned.target}{ends}{phase if arm.beat_s > 0 else ''}"
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


def _load(scenario: Scenario, arm: Arm) -> str:
    load = scenario.load
    if scenario.kind == "writes":
        routes = ", ".join(route.label for route in arm.routes)
        return f"{load.rate_per_s:g} writes a second by each of {routes}"
    return f"{load.count} clients, {load.rate_per_s:g} requests a second"


def _step(when: str, what: str) -> str:
    return f"  {when:>12}   {what}"


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


def _bound_row(who: str, found: Bounds | None, names: Sequence[str], with_mean: bool) -> list[str]:
    if found is None:
        return [who, *("-" for _ in names), "nothing promised", "-"]
    phases = {phase.name: phase for phase in found.phases}

    def cell(low_s: float, mean_s: float, high_s: float) -> str:
        return f"{low_s:.3g} / {mean_s:.3g} / {high_s:.3g}" if with_mean else _span(low_s, high_s)

    cells = [cell(phases[n].low_s, phases[n].expected_s, phases[n].high_s) if n in phases else "-" for n in names]
    moved = [phase for phase in found.phases if phase.moved_by]
    most = max(moved, key=lambda phase: phase.high_s).moved_by if moved else "-"
    return [who, *cells, cell(found.low_s, found.mean_s, found.high_s), most]


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
