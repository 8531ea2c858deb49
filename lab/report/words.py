"""How numbers are worded, the same in the terminal and on the page. Nothing is decided here.

A number that nobody knows is "-" (there is no such thing here) or "unknown" (it was asked, and cannot be said).
A value that was still growing when its window closed is ">= x".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab.measures import ALL, BY_NAME, WRITES, Measure
from lab.result import ArmResult, ChangeResult, Difference, Estimate, ObjectiveResult, PhaseMean, Result, TrialResult

NONE = "-"
UNKNOWN = "unknown"
ANSWERS = {"yes": "Yes", "no": "No", "unknown": "Unknown"}
UNITS = {"s": "seconds"}


def number(value: float | None, unit: str = "", beside: float | None = None) -> str:
    """A value with its short unit, "4.31 s"; `beside`: with as many decimals as that value would have.

    Two decimals, three below 0.1 s, none where it is whole and not seconds.
    """
    if value is None:
        return NONE
    if unit == "s":
        scale = abs(value if beside is None else beside)
        return f"{_plain(f'{value:.3f}' if 0 < scale < 0.1 else f'{value:.2f}')} s"
    if unit in ("client-seconds", "client-s"):
        return f"{_plain(f'{value:.2f}')} client-s"
    if unit == "bytes":
        return size(value)
    if abs(value) >= 100 or float(value).is_integer():
        return _plain(f"{value:.0f}")
    return _plain(f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}")


def bare(value: float | None, unit: str = "", beside: float | None = None) -> str:
    """The same without its unit; bytes keep theirs, which is not the same for all."""
    said = number(value, unit, beside)
    return said if unit == "bytes" else said.split(" ")[0]


def size(bytes_: float) -> str:
    """Bytes: "812 B", "16.4 kB", "3.1 MB" (a kB is 1000)."""
    value, unit = float(bytes_), "B"
    for larger in ("kB", "MB", "GB"):
        if round(abs(value), 1) < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def count(value: int) -> str:
    """How many, with its thousands apart: "41,230"."""
    return f"{value:,}"


def interval(estimate: Estimate) -> str:
    """ "[4.12, 4.50]", or "" where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = (bare(end, estimate.unit, estimate.mean) for end in (estimate.low, estimate.high))
    return f"[{low}, {high}]"


def mean(estimate: Estimate) -> str:
    """ "4.31 s [4.12, 4.50]"; "unknown" where there is no mean."""
    if estimate.mean is None:
        return UNKNOWN
    return f"{number(estimate.mean, estimate.unit)} {interval(estimate)}".rstrip()


def each(estimate: Estimate) -> str:
    """Every trial's figure, in the order of repeats."""
    return " ".join(bare(value, estimate.unit, estimate.mean) for value in estimate.each) or NONE


def worst(estimate: Estimate) -> str:
    """The worst value seen; ">= x" where it was still going on when its window closed."""
    if estimate.worst is None:
        return NONE
    said = number(estimate.worst, estimate.unit)
    return f">= {said}" if estimate.worst_censored else said


def bound(high_s: float | None, allowance_s: float) -> str:
    """ "8.40 + 0.1 s": what the settings promise, and what the lab's own lag may add."""
    return NONE if high_s is None else f"{bare(high_s, 's')} + {round(allowance_s, 3):g} s"


def promise(phase: PhaseMean) -> str:
    """ "0 to 6.00 s": what the settings promise for a phase."""
    if phase.high_s is None:
        return NONE
    low_s = phase.low_s or 0.0
    if low_s == phase.high_s:
        return number(phase.high_s, "s")
    return f"{bare(low_s, 's') if low_s else '0'} to {number(phase.high_s, 's')}"


def seconds(value: float) -> str:
    """A tick of an axis: "0", "2.5", "-4"."""
    return f"{round(value, 6):g}"


def share(value: float) -> str:
    """ "75 %"; a share that is not quite all never reads "100 %"."""
    return f"{min(value * 100, 99) if value < 1 else 100:.0f} %"


def plural(count: int, noun: str) -> str:
    """ "1 trial", "4 trials"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def setting(value: object) -> str:
    """A setting or a version as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return NONE if value is None else str(value)


def measure(name: str, unit: str = "") -> Measure:
    """The measure of this name; one that this lab does not know is shown under its own name."""
    return BY_NAME.get(name) or Measure(name, unit, name.replace("_", " "), "trial")


def measures(result: Result) -> list[Measure]:
    """What this result has figures of, in the lab's order, unknown ones last."""
    units = {name: estimate.unit for arm in result.arms for name, estimate in arm.measures.items()}
    known = [item for item in ALL if item.name in units]
    return known + [measure(name, unit) for name, unit in units.items() if name not in BY_NAME]


def about_writes(result: Result) -> bool:
    """Whether it was measured at writes to a database: routes, waterfalls and accounts are then what a report shows."""
    return bool(result.routes or result.losses)


def _of_views(result: Result) -> list[Measure]:
    hidden = WRITES if about_writes(result) else ()  # by route they say more, and stand there
    return [item for item in measures(result) if item not in hidden]


def timed(result: Result) -> list[Measure]:
    """The measures that are a time after a change: each gets its own part of a report."""
    return [item for item in _of_views(result) if item.unit == "s"]


def counted(result: Result, per: str) -> list[Measure]:
    """The measures that are counts per "change", or over a "trial": those only where something was found or asked."""
    found = [item for item in _of_views(result) if item.unit != "s" and (item.per == "change") == (per == "change")]
    return [item for item in found if per == "change" or _matters(result, item)]


def _matters(result: Result, item: Measure) -> bool:
    """Zeros that nobody asked about are only noise."""
    asked = any(item.name in objective.objective for objective in result.objectives)
    return asked or any(estimate.mean for arm in result.arms if (estimate := arm.measures.get(item.name)))


def bound_of(result: Result, arm: ArmResult, item: Measure) -> tuple[float, float] | None:
    """(low, high) seconds that the settings promise for the changes behind a measure; the widest where they differ."""
    seen = [
        (change.bound_low_s or 0.0, change.bound_high_s)
        for trial in valid_trials(result, arm.arm)
        for change in trial.changes
        if item.name in change.values and change.bound_high_s is not None
    ] or [
        (float(promised.get("low_s") or 0.0), float(promised["high_s"]))
        for change, promised in arm.bounds.items()
        if promised and promised.get("high_s") is not None and _bounds_measure(item, change)
    ]
    return (min(low for low, _ in seen), max(high for _, high in seen)) if seen else None


def valid_trials(result: Result, arm: str) -> list[TrialResult]:
    """The arm's trials that count: of two of one repeat (a run judged again) the later one."""
    counting = {
        trial.repeat: trial
        for trial in sorted(result.trials, key=lambda trial: trial.trial)
        if trial.arm == arm and trial.valid == "yes"
    }
    return [trial for trial in result.trials if counting.get(trial.repeat) is trial]


def difference(result: Result, item: Difference) -> str:
    """ "zookeeper - dns, dead but listed: -2.39 s [-2.61, -2.17], paired over 4 trials of 4 changes"."""
    of = short(measure(item.measure, item.estimate.unit))
    start = f"{item.first} - {item.second}, {of}: {mean(item.estimate)}, paired over {plural(item.pairs, 'trial')}"
    arms = [arm for arm in result.arms if arm.arm in (item.first, item.second)]
    changes = {_changes(trial, item.measure) for arm in arms for trial in valid_trials(result, arm.arm)}
    if len(changes) == 1 and (count := changes.pop()) > 1:
        start += f" of {plural(count, 'change')}"
    covered = {arm.phases_covered for arm in arms}
    raced = any(
        change.phase_achieved is not None and item.measure in change.values
        for arm in arms
        for trial in valid_trials(result, arm.arm)
        for change in trial.changes
    )
    text = covered.pop() if raced and len(covered) == 1 else ""  # strikes race against a beat, returns do not
    return f"{start}, phases covered {text}" if text else start


def _changes(trial: TrialResult, measure: str) -> int:
    """How many changes were measured: a strike that two routes met is one."""
    of = [change for change in trial.changes if measure in change.values]
    routes = {change.route for change in of}
    return max((sum(change.route == route for change in of) for route in routes), default=0)


def short(item: Measure) -> str:
    """The measure's words without what comes before a colon: "dead but listed"."""
    return item.words.rpartition(": ")[2]


def objective(item: ObjectiveResult) -> str:
    """ "worst(dead_but_listed_s) <= bound() [dns]"."""
    return f"{item.objective} [{item.arm}]" if item.arm else item.objective


def counts(estimate: Estimate) -> str:
    """ "480 samples of 16 changes"."""
    text = plural(estimate.samples, "sample")
    return f"{text} of {plural(estimate.changes, 'change')}" if estimate.changes else text


def measured(change: ChangeResult) -> str:
    """ "dead but listed 4.31 s, worst >= 7.61 s; calls to the dead 12": what one change came to."""
    said = []
    for name, values in change.values.items():
        item = measure(name)
        line = f"{short(item)} {number(values.get('mean'), item.unit)}"
        if values.get("n", 1) > 1:
            line += f", worst {'>= ' if values.get('censored') else ''}{number(values.get('worst'), item.unit)}"
        said.append(line)
    return "; ".join(said)


def trials_line(result: Result) -> str:
    """ "8 of 8 trials valid", or "5 of 8 planned trials ran, 5 valid"."""
    ran, planned = len(result.trials), result.planned_trials or len(result.trials)
    if ran < planned:
        return f"{ran} of {planned} planned trials ran, {result.valid_trials} valid"
    return f"{result.valid_trials} of {plural(ran, 'trial')} valid"


def remarks(result: Result) -> list[str]:
    """Why figures are missing or have no interval: a sentence each, with the figures it is about."""
    about: dict[str, list[str]] = {}
    figures = 0
    for item in measures(result):
        for arm in result.arms:
            if (estimate := arm.measures.get(item.name)) is not None:
                figures += 1
                if estimate.note:
                    about.setdefault(estimate.note, []).append(f"{short(item)} of {arm.arm}")
    return [f"{note} ({_which(of, figures)})" for note, of in about.items()]


def _which(of: Sequence[str], figures: int) -> str:
    """Figures by name, or how many where the names would fill the screen."""
    if len(of) == figures > 1:
        return "every figure"
    return "; ".join(of) if len(of) <= 4 else f"{len(of)} of {figures} figures"


def flat(values: object, name: str = "") -> Sequence[tuple[str, str]]:
    """Nested settings, versions or figures as (dotted name, text)."""
    if isinstance(values, dict):
        return [pair for key, value in values.items() for pair in flat(value, f"{name}.{key}" if name else str(key))]
    if isinstance(values, (list, tuple)):
        return [(name, ", ".join(setting(value) for value in values) or NONE)]
    return [(name, setting(values))]


def typeset(said: str) -> str:
    """Real minus signs and "≥", for the page; a terminal keeps what can be typed."""
    said = re.sub(r"(?<![\w-])-(?=[\d.])", "\N{MINUS SIGN}", said).replace(" - ", " \N{MINUS SIGN} ")
    return re.sub(r">=(?= |\d)", "\N{GREATER-THAN OR EQUAL TO}", said)


def _bounds_measure(item: Measure, change: str) -> bool:
    if item.bounded_by == "return":
        return change == "return"
    return item.bounded_by == "removal" and change != "return"


def _plain(text: str) -> str:
    return text.lstrip("-") if float(text) == 0 else text  # never "-0.00"
