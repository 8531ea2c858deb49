"""What the page shows of a run about writes: outages by fault, what was lost, who acknowledged. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from markupsafe import Markup

from lab.measures import split_brain_writes
from lab.report import accounts, charts, words
from lab.report.lanes import lanes
from lab.report.waterfall import Row, legend, waterfall
from lab.result import Result, RouteResult, TrialResult

SENTENCES = 6
"""So many stand open; more are folded."""
_STEPS = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One arm's route in the table of outages."""

    route: RouteResult
    tone: int
    each: str
    kinds: str
    strip: Markup
    lost: str
    """ "21 of 16,412", on the first line about a route: an account is of whole trials, not of one fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Everything about one fault."""

    title: str
    lines: list[Line]
    axis: Markup
    waterfall: Markup
    legend: Markup
    few: bool
    """So few steps that their table may stand open."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The lanes of one trial."""

    trial: TrialResult
    tone: int
    said: str
    chart: Markup


@dataclass(frozen=True, slots=True)
class Writes:
    """All of it."""

    faults: list[Fault]
    resolution: str
    sentences: list[tuple[TrialResult, str]]
    open_lanes: list[Drawn]
    folded_lanes: list[Drawn]
    legend: Markup


def writes(result: Result, tones: Mapping[str, int]) -> Writes | None:
    """None for a run about something else."""
    if not words.about_writes(result):
        return None
    steps = list(dict.fromkeys(step.name for trial in result.trials for one in trial.waterfalls for step in one.steps))
    drawn = [_drawn(trial, tones.get(trial.arm, 0)) for trial in _worst_first(result)]
    worst = {one.trial.arm: one for one in reversed(drawn)}
    losses = {(of.arm, of.route): accounts.lost(of) for of in result.losses}
    return Writes(
        [_fault(result, name, routes, tones, losses) for name, routes in accounts.faults(result)],
        accounts.resolution(result.routes),
        list(accounts.sentences(result)),
        [one for one in drawn if worst[one.trial.arm] is one],
        [one for one in drawn if worst[one.trial.arm] is not one],
        legend(accounts.in_order(steps), gap=False),
    )


def _fault(
    result: Result,
    name: str,
    routes: list[RouteResult],
    tones: Mapping[str, int],
    losses: dict[tuple[str, str], str],
) -> Fault:
    promised = [route.bound_high_s + route.allowance_s for route in routes if route.bound_high_s is not None]
    x = charts.strip_scale([route.outage for route in routes], promised)
    lines, rows = [], []
    for route in routes:
        tone, kinds = tones.get(route.arm, 0), accounts.kinds(result, route)
        open_ended = replace(route.outage, low=None, high=None) if route.outage.censored else route.outage
        strip = charts.strip(open_ended, tone, x, route.bound_high_s, route.allowance_s)
        lost = losses.pop((route.arm, route.route), "")
        lines.append(Line(route, tone, accounts.each(result, route), kinds, strip, lost))
        about = "; ".join(filter(None, (f"most is {route.largest}" if route.largest else "", kinds)))
        rows.append(Row(route, tone, about, accounts.waterfalls(result, route), accounts.promised(result, route)))
    failed = any(route.steps or route.outage.worst for route in routes)
    drawn = waterfall(rows) if failed else Markup()
    few = sum(len(route.steps) for route in routes) <= _STEPS
    return Fault(accounts.title(name), lines, charts.strip_axis(x), drawn, legend(accounts.steps(routes)), few)


def _worst_first(result: Result) -> list[TrialResult]:
    """Trials with lanes: those in which a losing primary acknowledged most come first, then those that lost most."""
    trials = [trial for trial in result.trials if trial.lanes]
    return sorted(trials, key=lambda trial: (trial.valid != "yes", -_beside(trial), -_lost(trial), trial.trial))


def _beside(trial: TrialResult) -> int:
    """Over all routes."""
    return round(sum(float(one["value"]) for one in trial.samples if one.get("measure") == split_brain_writes.name))


def _lost(trial: TrialResult) -> int:
    return sum(account.lost.get("writes", 0) for account in trial.accounts)


def _drawn(trial: TrialResult, tone: int) -> Drawn:
    said = [f"{words.count(_lost(trial))} acknowledged writes lost"] if trial.accounts else []
    if any(one.get("measure") == split_brain_writes.name for one in trial.samples):
        said.append(f"{words.count(_beside(trial))} acknowledged by a losing primary")
    if trial.valid != "yes":
        said.append("not valid: counts nowhere")
    return Drawn(trial, tone, ", ".join(said), lanes(trial, tone))
