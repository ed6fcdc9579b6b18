"""Tables as every page of the terminal has them. A cell is never cut: what is too wide goes on
in the next line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ullage.text import one_line

STYLES: Final = {"fits": "green", "tight": "yellow", "does not fit": "red"}
NARROW: Final = 100
"""Columns under which a catalog leaves out what `--json` has as well."""


def new_table(title: str, columns: Sequence[str] = (), right: Iterable[str] = ()) -> Table:
    """A table without boxes, its `columns` to the left but for those on the `right`."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    numbers = set(right)
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return table


def below(table: Table, text: str) -> None:
    """What is said under a table."""
    table.caption = text
    table.caption_justify = "left"


def needed_width(table: Table) -> int:
    """Columns of a terminal that the table takes with every cell on one line."""
    return sum(_widths(table)) + 2 * len(table.columns)


def _widths(table: Table) -> list[int]:
    return [max(cell_len(str(cell)) for cell in (column.header, *column.cells)) for column in table.columns]


def print_table(table: Table, console: Console) -> None:
    """Where all of it fits, columns are given their width, for rich would lay every cell out to find it: that
    took a sixth of a page's time."""
    fits = needed_width(table) <= console.width
    for column, width in zip(table.columns, _widths(table), strict=True):
        if fits or column.no_wrap:
            column.width = width
    console.print(table)


def print_named(table: Table, console: Console) -> None:
    """A table whose first column names its rows. One that is too wide has its columns nearer to one another;
    where that is not enough, names stand above their cells."""
    wide = needed_width(table)
    if wide - len(table.columns) > console.width:
        names, *table.columns = table.columns
        print_stacked(table, console, [str(cell) for cell in names.cells])
        return
    if wide > console.width:
        table.padding = (0, 1, 0, 0)
    for column, width in zip(table.columns, _widths(table), strict=True):
        column.width = width
    console.print(table)


def print_stacked(table: Table, console: Console, heads: Sequence[str]) -> None:
    """A table wider than the terminal: each row's head on a line of its own, and below it its cells in as
    many lines as they need, each under its heading. No cell is torn."""
    shown = table.columns
    texts = [[Text(str(column.header)), *map(_as_text, column.cells)] for column in shown]
    widths = [max(text.cell_len for text in each) for each in texts]
    lines = list(_lines(widths, console.width))
    if table.title:
        console.print(table.title, style="table.title")
    for at, head in enumerate(("", *heads)):
        if at:
            print_hanging("", one_line(head), console)
        for line in lines:
            row = Text("", style="" if at else "bold")
            for number in line:
                cell = texts[number][at].copy()
                cell.align("right" if shown[number].justify == "right" else "left", widths[number])
                row.append("  ").append_text(cell)
            row.rstrip()
            console.print(row, no_wrap=True, overflow="ignore", crop=False, highlight=False)


def _as_text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))


def _lines(widths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Which columns stand in each line, so that none is longer than `most` where one column is not."""
    line: list[int] = []
    for at, width in enumerate(widths):
        if line and sum(widths[each] + 2 for each in line) + width + 2 > most:
            yield line
            line = []
        line.append(at)
    if line:
        yield line


class Footnotes:
    """Texts too long for a column: a cell holds a number, and below the table each is said once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, text: str) -> str:
        """The number of `text`; nothing for none."""
        return f"[{self._numbers.setdefault(text, len(self._numbers) + 1)}]" if text else ""

    def print(self, console: Console) -> None:
        for text, at in self._numbers.items():
            print_hanging(f"[{at}] ", text, console, "dim")


def hanging(label: str, text: str | Text, console: Console) -> list[Text]:
    """`text` in lines that start under its first word, `label` before the first of them."""
    width = max(console.width - cell_len(label), 10)
    shown = console.render_str(text) if isinstance(text, str) else text
    lines = shown.wrap(console, width)
    margin = " " * cell_len(label)
    return [Text(margin if at else label).append_text(line) for at, line in enumerate(lines)]


def print_hanging(label: str, text: str | Text, console: Console, style: str = "") -> None:
    for line in hanging(label, text, console):
        line.rstrip()
        console.print(line, style=style, no_wrap=True, overflow="ignore", crop=False)
