"""Tables for a terminal: columns two spaces apart, no rules, no number torn or lost. Shows; decides nothing."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

_LEAST = 78


class Whole:
    """A table that in a window narrower than its numbers may look broken, but does not lose one."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._table, options.update_width(max(options.max_width, _LEAST)))


def table(*headers: str, wide: int = -1) -> Table:
    """Columns as they come; column `wide` is the one that may wrap."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for index, header in enumerate(headers):
        # A header's words may wrap; what was measured may not, or numbers would be torn apart.
        made.add_column(Text(header), no_wrap=index != wide, overflow="fold", vertical="top")
    return made


def fits(made: Table, console: Console) -> bool:
    """Whether all of it stands in the window without wrapping anything but what may wrap."""
    return sum(_needs(column) + 2 for column in made.columns) - 2 <= console.width


def _needs(column: Column) -> int:
    cells = [column.header, *column.cells] if column.no_wrap else [column.header]
    lines = [line for cell in cells if isinstance(cell, Text) for line in cell.plain.splitlines()]
    return max([*map(len, lines), column.min_width or 0])
