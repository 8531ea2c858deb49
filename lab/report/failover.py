"""Outages and losses of writes in a terminal: how long, where it goes, what was lost. Shows; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from lab.report import accounts, words
from lab.report.tables import fits, table
from lab.result import LossResult, Result, RouteResult

_SENTENCES = 4
_NAME = 16
_STEP = 26


def parts(result: Result, console: Console) -> Iterator[RenderableType]:
    """Everything about writes, made for the console's width."""
    for fault, routes in accounts.faults(result):
        yield from _title(accounts.title(fault))
        yield _first_that_fits(console, *(_outages(result, routes, stacked) for stacked in (False, True)))
        yield from (Text(line) for line in accounts.kinds_of(result, routes))
        if any(route.steps for route in routes):
            yield from _title("where it goes: mean, worst seen, and at most by the settings")
            yield _first_that_fits(console, *(_waterfalls(routes, stacked) for stacked in (False, True)), _list(routes))
            for name, those in accounts.largest(routes):
                yield Text(f"most is {name}: {accounts.whose(those)}")
    if said := accounts.resolution(result.routes):
        yield Text(said)
    if result.losses:
        yield from _losses(result, console)
    yield from _happened(result)


def _title(said: str) -> Iterator[Text]:
    yield Text()
    yield Text(said, style="bold")


def _first_that_fits(console: Console, *tables: Table) -> Table:
    return next((made for made in tables if fits(made, console)), tables[-1])


def _heads(stacked: bool) -> list[str]:
    return ["arm\n  route"] if stacked else ["arm", "route"]


def _names(of: RouteResult | LossResult, stacked: bool) -> list[Text]:
    return [Text("\n".join(_folded(of)))] if stacked else [Text(of.arm), Text(of.route)]


def _folded(of: RouteResult | LossResult) -> list[str]:
    """Arm and route below each other, in lines as short as their words allow."""
    return [*wrap(of.arm, _NAME), *(f"  {line}" for line in wrap(of.route, _NAME - 4))]


def _outages(result: Result, routes: list[RouteResult], stacked: bool) -> Table:
    trials = {route.outage.n for route in routes}
    of = f"mean of {words.plural(trials.pop(), 'trial')}" if len(trials) == 1 else "mean of its trials"
    more = ["in all, as it\ncame and went"] if accounts.came_and_went(routes) else []
    heads = [*_heads(stacked), f"{of}\n[95 %]"]
    made = table(
        *heads,
        "each trial",
        "worst\nseen",
        "bound\n+ allowance",
        "first fails\nafter",
        *more,
        wide=len(heads),
        least=9 if stacked else 14,
    )
    for route in routes:
        mean = accounts.mean(route.outage)
        made.add_row(
            *_names(route, stacked),
            Text(mean.replace(" [", "\n[") if stacked else mean),
            Text(accounts.each(result, route)),
            Text(words.worst(route.outage)),
            Text(words.bound(route.bound_high_s, route.allowance_s)),
            Text(accounts.first_failure(route)),
            *(Text(accounts.mean(route.unavailable).split(" [")[0]) for _ in more),
        )
    return made


_LINES = ("mean", "worst", "at most")


def _waterfalls(routes: list[RouteResult], stacked: bool) -> Table:
    """A column a step, three lines a route."""
    names = accounts.steps(routes)
    made = table(*_heads(stacked), "", *(name.replace(" ", "\n") for name in names))
    for route in routes:
        if not route.steps:
            continue
        own = {step.name: step for step in route.steps}
        cells = [own.get(name) for name in names]
        columns = [
            Text(
                "\n".join(words.number(value, "s") for value in (cell.mean_s, cell.worst_s, cell.high_s))
                if cell
                else words.NONE
            )
            for cell in cells
        ]
        made.add_row(*_names(route, stacked), Text("\n".join(_LINES)), *columns)
    return made


def _list(routes: list[RouteResult]) -> Table:
    """A line a step: for many steps in a narrow window."""
    made = table("", "mean", "worst\nseen", "settings\npromise", "moved by", wide=4, least=17)
    for route in routes:
        if not route.steps:
            continue
        for line in wrap(f"{route.arm}, {route.route}", _STEP):
            made.add_row(Text(line))
        for step in route.steps:
            cells = (words.number(step.mean_s, "s"), words.number(step.worst_s, "s"), accounts.promise(step))
            made.add_row(Text("  " + step.name.replace(": ", ":\n    ")), *map(Text, cells), Text(step.moved_by))
    return made


def _losses(result: Result, console: Console) -> Iterator[RenderableType]:
    yield from _title("acknowledged, and lost (RPO)")
    yield _first_that_fits(console, *(_rpo(result.losses, stacked) for stacked in (False, True)))
    if any(of.trials for of in result.losses):
        yield from _title("what became of every write")
        yield _first_that_fits(console, *(_classes(result.losses, stacked) for stacked in (False, True)))
    if splits := accounts.splits(result):
        yield from _title("split brain: acknowledged by a losing primary after the promotion")
        yield _first_that_fits(console, *(_splits(splits, stacked) for stacked in (False, True)))
    lines = [*filter(None, [accounts.no_split(result)]), *accounts.rejoined(result)]
    if lines:
        yield Text()
        yield from map(Text, lines)


def _rpo(losses: Sequence[LossResult], stacked: bool) -> Table:
    heads = [*_heads(stacked), "LOST of\nacknowledged", "with a\nwarning", "read, then\ngone"]
    made = table(*heads, "each trial", "at most\nseconds", "at most\nWAL", wide=len(heads), least=9 if stacked else 14)
    for of in losses:
        lost = of.account.lost
        made.add_row(
            *_names(of, stacked),
            Text(accounts.lost(of), style="bold red" if lost.get("writes") else ""),
            Text(accounts.counted(of, lost.get("warned", 0))),
            Text(accounts.counted(of, lost.get("read_then_gone", 0))),
            Text(accounts.lost_each(of)),
            Text(accounts.rpo_s(of)),
            Text(accounts.rpo_bytes(of)),
        )
    return made


def _classes(losses: Sequence[LossResult], stacked: bool) -> Table:
    heads = ["writes", "acknowledged:\nkept", "\nlost", "unconfirmed:\nkept", "\nabsent", "written\ntwice"]
    made = table(*_heads(stacked), *heads)
    for of in losses:
        made.add_row(*_names(of, stacked), *(Text(accounts.counted(of, value)) for value in accounts.classes(of)))
    return made


def _splits(losses: Sequence[LossResult], stacked: bool) -> Table:
    heads = _heads(stacked)
    at = len(heads)
    made = table(*heads, "each trial", "longest", "acknowledged\nafter it by", wide=(at, at + 2), least=14)
    for of in losses:
        made.add_row(
            *_names(of, stacked),
            Text(accounts.split_each(of), style="bold red"),
            Text(words.number(of.split_brain_s_worst, "s")),
            Text(accounts.by_node(of)),
        )
    return made


def _happened(result: Result) -> Iterator[RenderableType]:
    shown, left = accounts.few(result, _SENTENCES)
    if not shown:
        return
    yield Text()
    yield Text("what happened", style="bold")
    made = Table.grid(padding=(0, 2, 0, 0))
    for trial, sentence in shown:
        made.add_row(Text(f"trial {trial.trial}", style="dim"), Text(trial.arm, style="dim"), Text(sentence))
    if left:
        made.add_row("", "", Text(f"and {left} more, on the page"))
    yield made
