"""The tables of a Markdown document: its own, and those written in HTML. What is not read is named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from itertools import takewhile, zip_longest
from typing import Final, NamedTuple

SIZE: Final = re.compile(r"\d\s*+(?:\+\s*+)?(?:[KMGT]i?B|(?:kilo|mega|giga|tera)?bytes?)\b", re.IGNORECASE)
"""The end of what looks like a number with a unit of bytes."""
WIDEST: Final = 12
TALLEST: Final = 100
"""Columns and rows over which one cell is taken to reach at most."""
NEAR: Final = 20
"""Lines around a table in which the prose next to it is looked for."""
_HEADING: Final = re.compile(r"(#{1,6})\s+(.*)")
_RULE: Final = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_FENCE: Final = re.compile(r"(`{3,}|~{3,})([^`]*)")
_QUOTE: Final = re.compile(r"^\s*(?:>\s*)+")
_HTML: Final = re.compile(r"(?<!`)<(/?)table\b", re.IGNORECASE)
_NOTE: Final = re.compile(
    r"<sup>.{0,40}?</sup>|</?[a-z][^<>]*>|[\u00b9\u00b2\u00b3\u2070-\u2079\u2020\u2021]", re.IGNORECASE
)
"""Tags, and marks of footnotes."""
_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)


class Text(NamedTuple):
    """What one cell says, and its line."""

    line: int
    said: str


class Unread(NamedTuple):
    """What may be a size and is in no table that is read; where it stands."""

    line: int
    said: str


class Table(NamedTuple):
    """`section` is the headings above it but the document's own; `columns` names, `head` the cells that they
    are made of; `around` what may say the unit of all, the nearest first."""

    section: str
    columns: tuple[str, ...]
    head: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]
    around: tuple[str, ...]


def tables(text: str) -> Iterator[Table | Unread]:
    """Each in the order of the document."""
    lines = [_QUOTE.sub("", line) for line in text.splitlines()]
    headings: dict[int, str] = {}
    fence, at = "", 0
    while at < len(lines):
        line = lines[at].strip()
        mark = _FENCE.fullmatch(line)
        end = at + 1
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
            elif "|" in line and SIZE.search(line):
                yield Unread(end, f"in a block of code: {line}")
        elif mark:
            fence = mark[1]
        elif found := _HEADING.fullmatch(line):
            headings = {level: said for level, said in headings.items() if level < len(found[1])}
            headings[len(found[1])] = found[2].strip()
        elif (opened := _HTML.search(line)) and not opened[1]:
            closed = _html_end(lines, at)
            yield from _in_html(lines, at, closed, headings)
            end = closed or len(lines)
        elif "|" in line:
            end = next((below for below in range(at, len(lines)) if "|" not in lines[below]), len(lines))
            yield from _in_markdown(lines, at, end, headings)
        at = end


def _in_markdown(
    lines: Sequence[str], at: int, end: int, headings: dict[int, str]
) -> Iterator[Table | Unread]:
    """The table whose head is above a line of rules; what has none is no table."""
    rules = (below for below in range(at + 1, end) if _RULE.fullmatch(lines[below].strip()))
    first = next((below for below in rules if "-" in lines[below]), end + 1) - 1
    for above in range(at, min(first, end)):
        if SIZE.search(lines[above]):
            yield Unread(above + 1, f"in no table, for no line of |---| is below: {lines[above].strip()}")
    if first >= end:
        return
    head = _split(lines[first], first + 1)
    rows = tuple(
        _split(lines[below], below + 1)
        for below in range(first + 2, end)
        if not _RULE.fullmatch(lines[below].strip())
    )
    columns = tuple(each.said for each in head)
    yield Table(_section(headings), columns, head, rows, _around(lines, first, end, headings))


def _split(line: str, number: int) -> tuple[Text, ...]:
    """The cells of one line of a table, without bold, code and marks of footnotes; a bar behind a backslash
    is part of one."""
    line = _NOTE.sub("", _BREAK.sub(" / ", line)).strip().removeprefix("|").removesuffix("|")
    cells = (" ".join(unescape(each.replace("\\|", "|")).split()) for each in re.split(r"(?<!\\)\|", line))
    return tuple(Text(number, each.strip("*`").strip()) for each in cells)


def _section(headings: dict[int, str]) -> str:
    return " / ".join(said for level, said in sorted(headings.items()) if level > 1)


def _around(lines: Sequence[str], at: int, end: int, headings: dict[int, str]) -> tuple[str, ...]:
    """The lines of prose next to the table: after it, before it; and the headings above it."""
    sides = (lines[end : end + NEAR], reversed(lines[max(at - NEAR, 0) : at]))
    near = (next(filter(str.strip, side), "") for side in sides)
    beside = (line for line in near if "|" not in line and not line.startswith("#"))
    return (*beside, *(headings[level] for level in sorted(headings, reverse=True)))


@dataclass(slots=True)
class _Cell:
    """A cell of a table in HTML, and how many columns and rows it reaches over."""

    line: int
    heads: bool
    across: int = 1
    down: int = 1
    parts: list[str] = field(default_factory=list)

    def text(self, before: int) -> Text:
        """Of a piece with so many lines before it."""
        return Text(before + self.line, " ".join("".join(self.parts).split()))


class _Reader(HTMLParser):
    """Rows of the tables of a piece of HTML that has none within another, and their captions."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[tuple[list[str], list[list[_Cell]]]] = []
        self.nested = False
        self._depth = self._notes = 0
        self._into: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append(([], []))
            self._depth += 1
            self.nested |= self._depth > 1
        if not self.tables:
            return
        caption, rows = self.tables[-1]
        if tag == "tr" or (tag in ("td", "th") and not rows):
            rows.append([])
        if tag in ("td", "th"):
            across, down = (_count(dict(attrs).get(name)) for name in ("colspan", "rowspan"))
            cell = _Cell(self.getpos()[0], tag == "th", min(across, WIDEST), min(down, TALLEST))
            rows[-1].append(cell)
            self._into, self._notes = cell.parts, 0
        elif tag == "caption":
            self._into, self._notes = caption, 0
        elif tag in ("br", "p", "li") and self._into:
            self._into.append(" / ")
        elif tag == "sup":
            self._notes += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "caption", "tr", "table"):
            self._into = None
            self._depth -= tag == "table"
        elif tag == "sup":
            self._notes = max(self._notes - 1, 0)

    def handle_data(self, data: str) -> None:
        if self._into is not None and not self._notes:
            self._into.append(_NOTE.sub("", data))


def _count(said: str | None) -> int:
    return int(said) if said and said.isascii() and said.isdigit() and 0 < len(said) < 6 and int(said) else 1


def _html_end(lines: Sequence[str], at: int) -> int | None:
    """The line after that on which every table is closed again that was opened from line `at` on."""
    depth = 0
    for below in range(at, len(lines)):
        depth += sum(-1 if each[1] else 1 for each in _HTML.finditer(lines[below]))
        if depth <= 0:
            return below + 1
    return None


def _in_html(
    lines: Sequence[str], at: int, end: int | None, headings: dict[int, str]
) -> Iterator[Table | Unread]:
    if end is None:
        yield Unread(at + 1, "a table in HTML, which has no end: nothing after it was read")
        return
    reader = _Reader()
    reader.feed("\n".join(lines[at:end]))
    reader.close()
    if reader.nested:
        yield Unread(at + 1, f"a table in HTML with another within it, to line {end}: neither was read")
        return
    around = _around(lines, at, end, headings)
    for caption, marked in reader.tables:
        rows = [tuple(each.text(at) for each in row) for row in _grid(marked)]
        tops = sum(1 for _ in takewhile(lambda row: row and all(each.heads for each in row), marked))
        if not tops and rows and not any(SIZE.search(each.said) for each in rows[0]):
            tops = 1
        names = zip_longest(*((each.said for each in row) for row in rows[:tops]), fillvalue="")
        columns = tuple(" ".join(dict.fromkeys(filter(None, name))) for name in names)
        head = tuple(dict.fromkeys(each for row in rows[:tops] for each in row))
        said = " ".join("".join(caption).split())
        yield Table(_section(headings), columns, head, tuple(rows[tops:]), (said, *around))


def _grid(rows: Sequence[Sequence[_Cell]]) -> Iterator[tuple[_Cell, ...]]:
    """Rows with a cell in each of the columns and rows that it reaches over."""
    reaching: dict[int, tuple[_Cell, int]] = {}
    for row in rows:
        coming = list(reversed(row))
        made: list[_Cell] = []
        while coming or len(made) in reaching:
            if len(made) in reaching:
                cell, left = reaching.pop(len(made))
                across = 1
            else:
                cell = coming.pop()
                left, across = cell.down, cell.across
            for _ in range(across):
                if left > 1:
                    reaching[len(made)] = (cell, left - 1)
                made.append(cell)
        yield tuple(made)
