"""The page: one file that needs no network, readable in the light, in the dark and on paper. Shows; decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from lab.measures import Measure
from lab.report import accounts, charts, words
from lab.report.curves import over
from lab.report.outages import SENTENCES, writes
from lab.report.timeline import said, timeline
from lab.result import ArmResult, Estimate, PhaseMean, Result

_NOTHING = Estimate(None, None, None, 0, "")
_MARKS = {"yes": "\N{CHECK MARK}", "no": "\N{MULTIPLICATION X}", "unknown": "?"}


@dataclass(frozen=True, slots=True)
class Row:
    """One arm in one measure."""

    arm: str
    tone: int
    estimate: Estimate
    high_s: float | None
    allowance_s: float
    strip: Markup
    beside: list[Estimate]
    most: str


@dataclass(frozen=True, slots=True)
class Part:
    """Everything about one measure."""

    measure: Measure
    rows: list[Row]
    axis: Markup
    beside: list[Measure]
    curve: Markup
    bars: Markup
    phases: list[tuple[str, int, list[PhaseMean]]]


def render(result: Result) -> str:
    """The whole page as text."""
    tones = {arm.arm: index % 6 for index, arm in enumerate(result.arms)}
    parts = [_part(result, item, tones) for item in words.timed(result)]
    counted = words.counted(result, "trial") + ([] if parts else words.counted(result, "change"))
    return _template().render(
        result=result,
        words=words,
        accounts=accounts,
        writes=writes(result, tones),
        sentences_open=SENTENCES,
        marks=_MARKS,
        tones=tones,
        parts=parts,
        counted=counted,
        nothing=_NOTHING,
        forests=_forests(result),
        timeline=timeline(result.trials, tones) if result.trials else Markup(),
        said=said,
        settings=_settings(result.arms),
        versions=words.flat(result.versions),
        changes=any(trial.changes for trial in result.trials),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typeset"] = lambda text: words.typeset(str(text))
    return environment.get_template("template.html")


def _part(result: Result, item: Measure, tones: dict[str, int]) -> Part:
    first = item is words.timed(result)[0]
    beside = words.counted(result, "change") if first else []
    estimates = {arm.arm: arm.measures.get(item.name, _NOTHING) for arm in result.arms}
    highs = {arm.arm: bound[1] for arm in result.arms if (bound := words.bound_of(result, arm, item))}
    promised = [highs[arm.arm] + arm.allowance_s for arm in result.arms if arm.arm in highs]
    x = charts.strip_scale(list(estimates.values()), promised)
    rows = [
        Row(
            arm.arm,
            tones[arm.arm],
            estimates[arm.arm],
            highs.get(arm.arm),
            arm.allowance_s,
            charts.strip(estimates[arm.arm], tones[arm.arm], x, highs.get(arm.arm), arm.allowance_s),
            [arm.measures.get(other.name, _NOTHING) for other in beside],
            arm.most if first else "",
        )
        for arm in result.arms
    ]
    lines = [line for row in rows if (line := _line(result, item, row))]
    phases = [(arm.arm, tones[arm.arm], arm.phases[item.name]) for arm in result.arms if arm.phases.get(item.name)]
    return Part(
        item,
        rows,
        charts.strip_axis(x),
        beside,
        charts.convergence(lines) if lines else Markup(),
        charts.where_it_goes([charts.Bar(*bar) for bar in phases]) if phases else Markup(),
        phases,
    )


def _line(result: Result, item: Measure, row: Row) -> charts.Line | None:
    trials = [trial.curves[item.name] for trial in words.valid_trials(result, row.arm) if trial.curves.get(item.name)]
    curve = over(trials)
    if curve is None:
        return None
    estimate = row.estimate
    open_ = f"{row.arm}: {estimate.censored} of {estimate.samples} still wrong at the end" if estimate.censored else ""
    return charts.Line(row.arm, row.tone, curve, row.high_s, row.allowance_s, len(trials), open_, estimate.worst or 0.0)


def _forests(result: Result) -> list[Markup]:
    """One chart a unit: seconds and calls do not share an axis."""
    units = dict.fromkeys(item.estimate.unit for item in result.differences)
    return [charts.forest([item for item in result.differences if item.estimate.unit == unit]) for unit in units]


def _settings(arms: Sequence[ArmResult]) -> list[tuple[str, list[str], bool]]:
    """(name, each arm's value, whether the arms differ), those that differ first."""
    flat: list[dict[str, str]] = [dict(words.flat(arm.settings)) for arm in arms]
    names = list(dict.fromkeys(name for settings in flat for name in settings))
    rows = [(name, [settings.get(name, words.NONE) for settings in flat]) for name in names]
    told = [(name, values, len(Counter(values)) > 1) for name, values in rows]
    return sorted(told, key=lambda row: not row[2])
