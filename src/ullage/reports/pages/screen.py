"""Parts of a page on the terminal. Nothing is cut: what is too wide goes on in the next line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rich.console import Console
from rich.text import Text

from ullage.reports.pages.grid import folded, grid
from ullage.reports.pages.page import (
    AtOnce,
    Code,
    Facts,
    Fold,
    Gauge,
    Items,
    Page,
    Part,
    Prose,
    Section,
    Simple,
    simple,
)
from ullage.reports.pages.shell import BREAK, SHELL, in_lines
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Tone, Words, spans
from ullage.text import visible, without_secrets

STYLES: Final[dict[Tone, str]] = {
    "": "",
    "note": "dim",
    "bad": "red",
    "warning": "yellow",
    "good": "green",
    "strong": "bold",
    "secret": "dim",
}
LABEL: Final = 9
"""Columns of the names of facts, or more where one is longer."""
BAR: Final = 30
LEAST_BAR: Final = 8
LINES: Final = 25
"""Of what is seen at once, at 80 columns or more."""


def show(parts: Page | Iterable[Part], console: Console) -> None:
    """Prints all of it; a person's own words are left out, and a chart is what the table beside it says."""
    if isinstance(parts, Page):
        parts = (Prose(parts.title, "strong"), *parts.opening, *parts.sections)
    for part in parts:
        for line in _lines(part, console.width):
            line.rstrip()
            console.print(line, no_wrap=True, overflow="ignore", crop=False)


def _lines(part: Part, width: int) -> Iterator[Text]:
    if isinstance(part, Section | Fold):
        if isinstance(part, Section):
            yield Text()
        yield from _hanging("", _shown(part.title, "bold"), width)
        for each in part.parts:
            yield from _lines(each, width)
    elif isinstance(part, Facts):
        yield from _facts(part, width)
    elif isinstance(part, AtOnce):
        yield from _at_once(part, width)
    elif isinstance(part, Gauge):
        yield _bar(part, width)
    else:
        for one in simple(part):
            yield from _simple(one, width)


def _simple(part: Simple, width: int) -> Iterator[Text]:
    if isinstance(part, Prose):
        yield from _hanging("", _shown(part.text, STYLES[part.tone]), width)
    elif isinstance(part, Items):
        for text in part.texts:
            yield from _hanging("- ", _shown(text, STYLES[part.tone]), width)
    elif isinstance(part, Code):
        yield from (Text("    ").append_text(line) for line in _code(part, width - 4))
    elif isinstance(part, Table):
        if part.title:
            yield from _hanging("", _shown(part.title, "italic"), width)
        cells = [[_shown(cell) for cell in row] for row in part.rows]
        heads = [_shown(name, "bold") for name in part.columns]
        right, noted = ([name in each for name in part.columns] for each in (part.right, part.noted))
        yield from grid(heads, cells, right, noted, width)
        if part.caption:
            yield from _hanging("", _shown(part.caption, "dim"), width)


def _facts(part: Facts, width: int) -> Iterator[Text]:
    """Names on the left, and beside each what is said of it."""
    names = [_shown(name, "dim" if isinstance(name, str) else "") for name, _ in part.pairs]
    label = max([LABEL, *(name.cell_len + 1 for name in names)])
    for name, (_, held) in zip(names, part.pairs, strict=True):
        name.pad_right(label - name.cell_len)
        for each in held:
            room = width - label
            for line in _code(each, room) if isinstance(each, Code) else _lines(each, room):
                yield name + line
                name = Text(" " * label)


def _code(part: Code, width: int) -> Iterator[Text]:
    """To be copied: only a shell's lines are broken, and only where they may be."""
    text = in_lines(part.text.split(BREAK), width) if part.language == SHELL else part.text
    return map(_shown, text.splitlines())


def _at_once(part: AtOnce, width: int) -> Iterator[Text]:
    """What comes first is shortened last."""
    last = list(_lines(part.last, width))
    held = [[line for each in share.parts for line in _lines(each, width)] for share in part.parts]
    over = sum(map(len, held)) + len(last) - LINES if width >= 80 else 0
    shares = [*zip(reversed(held), reversed(part.parts), strict=True)]
    room = sum(max(len(lines) - share.least, 0) for lines, share in shares if share.instead is None)
    for lines, share in shares:
        if share.instead is not None and over > room:
            over -= len(lines)
            lines[:] = _lines(share.instead, width)
            over += len(lines)
    for lines, share in shares:
        if share.instead is not None:
            continue
        cut = min(max(over, 0), max(len(lines) - share.least, 0))
        over -= cut
        del lines[len(lines) - cut :]
        if cut and lines:
            mark = f" ... {part.more}"
            lines[-1].truncate(_whole(lines[-1].plain, 80 - len(mark)))
            lines[-1].append(mark, style="dim")
    for lines in (*held, last):
        yield from lines


def _whole(text: str, most: int) -> int:
    """How much of a line is left where not all of it is shown: whole words, and of options those with their
    values."""
    text = text.removesuffix("\\").rstrip()
    if len(text) <= most:
        return len(text)
    end = text.rfind(" --", 0, most)
    left = text[:end].rstrip() if end > 0 else ""
    return len(left or text[: text.rfind(" ", 0, most)].rstrip())


def _bar(part: Gauge, width: int) -> Text:
    said = _shown(part.said)
    long = max(min(BAR, width - said.cell_len - 1), LEAST_BAR)
    sure, most = (round(min(max(share, 0.0), 1.0) * long) for share in (part.sure, part.most))
    line = Text("█" * sure + "▒" * (most - sure), style=STYLES[part.tone])
    line.append("·" * (long - most), style="dim").append(" ")
    return Text().append_text(line).append_text(said)


def _hanging(label: str, text: Text, width: int) -> Iterator[Text]:
    """`text` in lines that start under its first word, `label` before the first of them."""
    for at, line in enumerate(folded(text, max(width - len(label), 10))):
        yield Text(" " * len(label) if at else label, style=text.style).append_text(line) if label else line


def _shown(words: Words, style: str = "") -> Text:
    """Words that rule no screen, forge no line and tell no secret."""
    found = Text(style=style)
    for each in spans(words):
        text, own = (each, "") if isinstance(each, str) else (each.text, STYLES[each.tone])
        found.append(visible(without_secrets(text)), style=own or None)
    return found
