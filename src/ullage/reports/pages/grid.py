"""A table on the terminal, in as few lines as its width allows. No cell is cut, and no word or number torn.

Columns stand two apart, else one. Where that is too wide, headings give way, then columns of prose; what
then is too long for its column is said below the table, each text once, by a number. Where no more can be
done, each row's first cell stands on a line of its own, and the others below it, each under its heading.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from rich.console import Console
from rich.text import Text

Row = list[Text]
LEAST: Final = 16
"""Columns that prose has at least, where it is as long."""
LONG: Final = 40
"""Letters of a cell that may be said below."""


def grid(
    heads: Row, rows: Sequence[Row], right: Sequence[bool], console: Console, width: int
) -> Iterator[Text]:
    """Lines of a table; columns are to the right where `right` says so."""
    notes: dict[str, int] = {}
    while (found := _layout(heads, rows, right, width)) is None:
        shorter = _noted(rows, right, notes)
        if shorter is None:
            yield from _stacked(heads, rows, right, console, width)
            break
        rows = shorter
    else:
        widths, gap = found
        for row in (heads, *rows):
            yield from _row(row, widths, right, gap, console)
    for text, at in notes.items():
        label = f"[{at}] "
        for number, line in enumerate(Text(text, style="dim").wrap(console, max(width - len(label), LEAST))):
            yield Text(" " * len(label) if number else label, style="dim").append_text(line)


def _layout(
    heads: Row, rows: Sequence[Row], right: Sequence[bool], width: int
) -> tuple[list[int], int] | None:
    """The columns' widths and what lies between two; None where they do not fit."""
    cells = [max((row[at].cell_len for row in rows), default=0) for at in range(len(heads))]
    whole = [max(head.cell_len, cell) for head, cell in zip(heads, cells, strict=True)]
    for gap in (2, 1):
        if sum(whole) + gap * (len(whole) - 1) <= width:
            return whole, gap
    room = width - (len(whole) - 1)
    least = [max(_word(head), cell) for head, cell in zip(heads, cells, strict=True)]
    if sum(least) <= room:
        return _shared(least, whole, room), 1
    prose = [
        max(_word(heads[at]), *(_word(row[at]) for row in rows), min(cells[at], LEAST))
        if rows and at and not right[at]  # the first column names its rows
        else least[at]
        for at in range(len(heads))
    ]
    return (_shared(prose, least, room), 1) if sum(prose) <= room else None


def _word(text: Text) -> int:
    return max((Text(word).cell_len for word in text.plain.split()), default=0)


def _shared(least: Sequence[int], most: Sequence[int], room: int) -> list[int]:
    """`room` for columns of at least and at most so much: what is left goes to the narrowest that want it."""
    widths = list(least)
    left = room - sum(widths)
    while left > 0 and (wanting := [at for at, each in enumerate(widths) if each < most[at]]):
        widths[min(wanting, key=widths.__getitem__)] += 1
        left -= 1
    return widths


def _noted(rows: Sequence[Row], right: Sequence[bool], notes: dict[str, int]) -> list[Row] | None:
    """The rows with the longest of their columns as numbers of `notes`; None where none is long."""
    longest = [
        0 if right[at] or not at else max((row[at].cell_len for row in rows), default=0)
        for at in range(len(right))
    ]
    if max(longest, default=0) <= LONG:
        return None
    chosen = longest.index(max(longest))
    found = []
    for row in rows:
        text = row[chosen].plain
        mark = f"[{notes.setdefault(text, len(notes) + 1)}]" if text else ""
        found.append([*row[:chosen], Text(mark), *row[chosen + 1 :]])
    return found


def _row(
    row: Row, widths: Sequence[int], right: Sequence[bool], gap: int, console: Console
) -> Iterator[Text]:
    held = [
        [cell] if cell.cell_len <= each else list(cell.wrap(console, each))
        for cell, each in zip(row, widths, strict=True)
    ]
    for pieces in zip_longest(*held):
        line = Text()
        for at, piece in enumerate(pieces):
            line.append(" " * gap if at else "").append_text(_aligned(piece or Text(), widths[at], right[at]))
        yield line


def _aligned(cell: Text, width: int, right: bool) -> Text:
    found = cell.copy()
    found.rstrip()
    (found.pad_left if right else found.pad_right)(max(width - found.cell_len, 0))
    return found


def _stacked(
    heads: Row, rows: Sequence[Row], right: Sequence[bool], console: Console, width: int
) -> Iterator[Text]:
    """The first cell above the others, which stand in as many lines as they need."""
    widths = [max(row[at].cell_len for row in (heads, *rows)) for at in range(1, len(heads))]
    lines = list(_groups(widths, width))
    for number, row in enumerate((heads, *rows)):
        if number or not lines:
            yield from row[0].wrap(console, width)
        for line in lines:
            found = Text()
            for at in line:
                found.append("  ").append_text(_aligned(row[at + 1], widths[at], right[at + 1]))
            yield found


def _groups(widths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Which columns stand in each line, so that none is longer than `most` where one column is not."""
    line: list[int] = []
    for at, width in enumerate(widths):
        if line and sum(widths[each] + 2 for each in line) + width + 2 > most:
            yield line
            line = []
        line.append(at)
    if line:
        yield line
