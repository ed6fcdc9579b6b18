"""Tables as every page of the terminal has them. A cell is never cut: what is too wide goes on
in the next line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def print_table(table: Table, console: Console) -> None:
    """Where all of it fits, columns are given their width, for rich would lay every cell out to find it: that
    took a sixth of a page's time."""
    widths = [max(cell_len(str(cell)) for cell in (column.header, *column.cells)) for column in table.columns]
    fits = sum(widths) + 2 * len(widths) <= console.width
    for column, width in zip(table.columns, widths, strict=True):
        if fits or column.no_wrap:
            column.width = width
    console.print(table)


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
