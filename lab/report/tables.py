"""Tables for a terminal: columns two spaces apart, no rules, no number torn or lost. Shows; decides nothing."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text


class Whole:
    """A table that in a window narrower than its numbers may look broken, but does not lose one."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._table, options.update_width(max(options.max_width, needs(self._table))))


def table(*headers: str, wide: int | tuple[int, ...] = -1, least: int = 0) -> Table:
    """Columns as they come; those of `wide` may wrap, and have at least `least` characters."""
    may_wrap = (wide,) if isinstance(wide, int) else wide
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for index, header in enumerate(headers):
        # A header's words may wrap; what was measured may not, or numbers would be torn apart.
        wraps = index in may_wrap
        made.add_column(
            Text(header), no_wrap=not wraps, overflow="fold", vertical="top", min_width=least if wraps else None
        )
    return made


def fits(made: Table, console: Console) -> bool:
    """Whether all of it stands in the window without wrapping anything but what may wrap."""
    return needs(made) <= console.width


def needs(made: Table) -> int:
    """The least width at which no number is torn apart or lost."""
    return sum(_needs(column) + 2 for column in made.columns) - 2


def _needs(column: Column) -> int:
    said = [cell.plain for cell in (column.header, *column.cells) if isinstance(cell, Text)]
    pieces = [piece for text in said for piece in (text.splitlines() if column.no_wrap else text.split())]
    return max([*map(len, pieces), column.min_width or 0])
