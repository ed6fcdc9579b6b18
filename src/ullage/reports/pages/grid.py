"""A table on the terminal, in as few lines as its width allows. No cell is cut, and no word or number torn.

Columns stand two apart, else one. Where that is too wide, headings give way, then columns that may be said
below the table (each text once, by a number), then columns of prose, the longest of them said below too.
A name that still is too long stands above its row; where most are, each does, its cells under their headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from rich.cells import cell_len
from rich.text import Text

Row = list[Text]
Layout = tuple[list[int], int]
"""Widths of the columns, and what lies between two."""
LEAST: Final = 16
"""Columns that prose and names have at least, where they are as long."""
LONG: Final = 40
"""Letters of a cell that may be said below whatever its column."""


def grid(
    heads: Row,
    rows: Sequence[Row],
    right: Sequence[bool],
    noted: Sequence[bool],
    width: int,
) -> Iterator[Text]:
    """Lines of a table; of columns `right` are those on the right, `noted` those that may be said below."""
    notes: dict[str, int] = {}
    left = {at for at, each in enumerate(noted) if each}
    layout = _whole(heads, rows, width)
    while layout is None and left:
        chosen = max(left, key=lambda at: _longest(rows, at))
        left.remove(chosen)
        rows = _noted(rows, chosen, notes)
        layout = _whole(heads, rows, width)
    layout = layout or _folded(heads, rows, right, width)
    prose = [at for at in range(1, len(heads)) if not right[at]]
    while layout is None and prose:
        chosen = max(prose, key=lambda at: _longest(rows, at))
        if _longest(rows, chosen) <= LONG:
            break
        rows = _noted(rows, chosen, notes)
        layout = _folded(heads, rows, right, width)
    layout = layout or _named(heads, rows, width)
    if layout is None:
        yield from _stacked(heads, rows, right, width)
    else:
        yield from _row(heads, *layout, right, heads=True)
        for row in rows:
            if row[0].cell_len > layout[0][0]:
                yield from folded(row[0], width)
                row = [Text(), *row[1:]]
            yield from _row(row, *layout, right)
    for text, at in notes.items():
        label = f"[{at}] "
        for number, line in enumerate(folded(Text(text, style="dim"), max(width - len(label), LEAST))):
            yield Text(" " * len(label) if number else label, style="dim").append_text(line)


def folded(text: Text, width: int) -> list[Text]:
    """Lines of at most `width` columns, but for a word that is longer: torn it could not be copied."""
    if text.cell_len <= width:
        return [text]
    breaks, used = [], 0
    for word in re.finditer(r"\S+\s*", text.plain):
        if used and used + cell_len(word[0].rstrip()) > width:
            breaks.append(word.start())
            used = 0
        used += cell_len(word[0])
    lines = list(text.divide(breaks))
    for line in lines:
        line.rstrip()
    return lines


def _longest(rows: Sequence[Row], at: int) -> int:
    return max((row[at].cell_len for row in rows), default=0)


def _whole(heads: Row, rows: Sequence[Row], width: int) -> Layout | None:
    """With every cell on one line; headings may have several."""
    cells = [_longest(rows, at) for at in range(len(heads))]
    whole = [max(head.cell_len, cell) for head, cell in zip(heads, cells, strict=True)]
    for gap in (2, 1):
        if sum(whole) + gap * (len(whole) - 1) <= width:
            return whole, gap
    least = [max(_word(head), cell) for head, cell in zip(heads, cells, strict=True)]
    room = width - (len(whole) - 1)
    return (_shared(least, whole, room), 1) if sum(least) <= room else None


def _folded(heads: Row, rows: Sequence[Row], right: Sequence[bool], width: int) -> Layout | None:
    """With columns of prose as narrow as their longest word; the first column names its rows, and is none."""
    cells = [_longest(rows, at) for at in range(len(heads))]
    whole = [max(_word(head), cell) for head, cell in zip(heads, cells, strict=True)]
    least = [
        max(_word(heads[at]), min(cells[at], LEAST), *(_word(row[at]) for row in rows))
        if rows and at and not right[at]
        else whole[at]
        for at in range(len(heads))
    ]
    room = width - (len(whole) - 1)
    return (_shared(least, whole, room), 1) if sum(least) <= room else None


def _named(heads: Row, rows: Sequence[Row], width: int) -> Layout | None:
    """With the names that are too long for their column above it, if they are few."""
    others = [max(_word(heads[at]), _longest(rows, at)) for at in range(1, len(heads))]
    room = width - sum(others) - len(others)
    short = sum(row[0].cell_len <= room for row in rows)
    return ([room, *others], 1) if room >= LEAST and 2 * short >= len(rows) else None


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


def _noted(rows: Sequence[Row], chosen: int, notes: dict[str, int]) -> list[Row]:
    """The rows with a column as numbers of `notes`."""
    found = []
    for row in rows:
        text = row[chosen].plain
        mark = f"[{notes.setdefault(text, len(notes) + 1)}]" if text else ""
        found.append([*row[:chosen], Text(mark), *row[chosen + 1 :]])
    return found


def _row(
    row: Row, widths: Sequence[int], gap: int, right: Sequence[bool], *, heads: bool = False
) -> Iterator[Text]:
    """Cells begin side by side; headings end so."""
    held = [folded(cell, each) for cell, each in zip(row, widths, strict=True)]
    if heads:
        most = max(map(len, held))
        held = [[Text()] * (most - len(each)) + each for each in held]
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


def _stacked(heads: Row, rows: Sequence[Row], right: Sequence[bool], width: int) -> Iterator[Text]:
    """The first cell above the others, which stand in as many lines as they need."""
    widths = [max(row[at].cell_len for row in (heads, *rows)) for at in range(1, len(heads))]
    lines = list(_groups(widths, width))
    for row in (heads, *rows):
        yield from folded(row[0], width)
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
