"""The result as a person reads it in a terminal, at 100 columns and without colours too. Shows; decides nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from lab.measures import Measure
from lab.report import failover, words
from lab.report.tables import Whole, table
from lab.result import ArmResult, Estimate, Result

_STYLES = {"yes": "bold green", "no": "bold red", "unknown": "bold yellow"}
_ROOMY = 96
"""Columns from which the counts stand beside the times."""
_UNASKED = Estimate(None, None, None, 0, "")


def text(result: Result, *, report: str = "", width: int = 100) -> str:
    """The same as plain text: what terminal.txt holds."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    show(result, console, report=report)
    file = console.file
    assert isinstance(file, io.StringIO)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def show(result: Result, console: Console, *, report: str = "") -> None:
    """Print the result. `report` is where the page lies, as the person can open it."""
    for part in _parts(result, report, console):
        console.print(Whole(part) if isinstance(part, Table) else part, highlight=False, crop=False)


def _parts(result: Result, report: str, console: Console) -> Iterator[RenderableType]:
    roomy = console.width >= _ROOMY
    yield _head(result)
    yield from failover.parts(result, console)
    primary = next((item.name for item in words.timed(result)), "")
    for item in words.timed(result):
        yield Text()
        yield Text(item.words, style="bold")
        yield _measure(result, item, beside=words.counted(result, "change") if item.name == primary and roomy else [])
        if any(arm.phases.get(item.name) for arm in result.arms):
            yield Text()
            yield _phases(result, item)
            if item.name == primary:
                yield from (Text(f"{arm.arm}: most is {arm.most}") for arm in result.arms if arm.most)
    if not (primary and roomy) and words.counted(result, "change"):
        yield Text()
        yield _counted(result, words.counted(result, "change"), "per change")
    if over_trial := words.counted(result, "trial"):
        yield Text()
        yield _counted(result, over_trial, "per trial")
    if not words.measures(result) and not words.about_writes(result):
        yield Text("\nNothing was measured: there is no valid trial.")
    if result.differences:
        yield Text()
    for difference in result.differences:
        yield Text(f"{words.difference(result, difference)}. {difference.words}".rstrip())
    yield Text()
    yield from _answers(result)
    yield from _doubts(result)
    yield Text()
    yield _foot(result, report)


def _head(result: Result) -> Text:
    arms = " x " + words.plural(len(result.arms), "arm") if len(result.arms) > 1 else ""
    head = Text(result.scenario, style="bold")
    head.append(f"  seed {result.seed}  {words.plural(result.repeats, 'repeat')}{arms}", style="not bold")
    if result.demonstration:
        head.append("  (demonstration)", style="not bold")
    if result.partial:
        head.append("  (partial: the run was cut short)", style="yellow")
    return head


def _measure(result: Result, item: Measure, beside: list[Measure]) -> Table:
    trials = {arm.measures[item.name].n for arm in result.arms if item.name in arm.measures}
    of = f"mean of {words.plural(trials.pop(), 'trial')}" if len(trials) == 1 else "mean of its trials"
    headers = ["arm", f"{of}\n[95 %]", "each trial", "worst\nseen", "bound\n+ allowance"]
    made = table(*headers, *(_column(other) for other in beside), wide=2, least=14)
    for arm in result.arms:
        estimate = arm.measures.get(item.name, _UNASKED)
        high_s = (words.bound_of(result, arm, item) or (None, None))[1]
        made.add_row(
            Text(arm.arm),
            Text(words.mean(estimate)),
            Text(words.each(estimate)),
            Text(words.worst(estimate)),
            Text(words.bound(high_s, arm.allowance_s)),
            *(Text(_count(arm, other)) for other in beside),
        )
    return made


def _column(item: Measure) -> str:
    last = " ".join(item.words.split(" ")[-2:]) if item.words.count(" ") > 1 else item.words.split(" ")[-1]
    return f"{item.words.removesuffix(last).strip()}\n{last}\na change"


def _count(arm: ArmResult, item: Measure) -> str:
    estimate = arm.measures.get(item.name, _UNASKED)
    return words.UNKNOWN if estimate.mean is None else words.number(estimate.mean, estimate.unit)


def _phases(result: Result, item: Measure) -> Table:
    means = {arm.arm: {phase.name: phase for phase in arm.phases.get(item.name, [])} for arm in result.arms}
    names = list(dict.fromkeys(name for phases in means.values() for name in phases))
    made = table("where the mean goes", *names)
    for arm in result.arms:
        cells = [means[arm.arm].get(name) for name in names]
        seconds = [Text(words.number(cell.mean_s, "s") if cell else words.NONE) for cell in cells]
        made.add_row(Text(arm.arm), *seconds)
    return made


def _counted(result: Result, items: list[Measure], per: str) -> Table:
    made = table(f"{per}, mean of the trials [95 %]", *(item.words for item in items))
    for arm in result.arms:
        estimates = [arm.measures.get(item.name, _UNASKED) for item in items]
        made.add_row(Text(arm.arm), *(Text(words.mean(estimate)) for estimate in estimates))
    return made


def _answers(result: Result) -> Iterator[RenderableType]:
    yield Text(result.sentence, style=_STYLES.get(result.answer, ""))
    answers = Table.grid(padding=(0, 2, 0, 0))
    for item in result.objectives:
        announced = "" if item.expected == "yes" else f" (announced: {item.expected})"
        answers.add_row(Text(item.answer, style=_STYLES.get(item.answer, "")), Text(words.objective(item) + announced))
        # Of a total, how much was watched is half of the answer.
        told = item.answer != "yes" or item.objective.startswith("total(")
        if told and item.sentence not in result.sentence:
            answers.add_row("", Text(item.sentence))
    if result.objectives:
        yield answers


def _doubts(result: Result) -> Iterator[RenderableType]:
    """What a reader must know before believing a number: trials that do not count, figures without an interval."""
    doubts = Table.grid(padding=(0, 2, 0, 0))
    for trial in result.trials:
        if trial.valid != "yes":
            of = f"trial {trial.trial} ({trial.arm}, repeat {trial.repeat}): "
            why = "; ".join(trial.reasons) or "no reason was recorded"
            doubts.add_row(Text("not valid", style="yellow"), Text(of + why))
    for line in (*(line for arm in result.arms for line in arm.outside), *words.remarks(result), *result.notes):
        doubts.add_row(Text("note", style="dim"), Text(line))
    if doubts.row_count:
        yield Text()
        yield doubts


def _foot(result: Result, report: str) -> Text:
    lag = "" if result.lab_lag_p99_ms is None else f"    lab lag p99 {result.lab_lag_p99_ms:.1f} ms"
    foot = Text(f"{words.trials_line(result)}{lag}\n")
    if report:
        foot.append(f"report  {report}\n")
    foot.append(f"again   {result.reproduce}" if result.reproduce else "")
    foot.rstrip()
    return foot
