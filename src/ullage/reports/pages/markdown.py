"""A page as Markdown, the same bytes for the same page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ullage.reports.pages.page import Code, Figure, Items, Own, Page, Part, Prose, Section, Simple, simple
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words, plain, spans
from ullage.text import visible, without_secrets

BEGIN: Final = "<!-- own words: {} -->"
END: Final = "<!-- end of own words -->"
_SPECIAL: Final = re.compile(r"([\\`*|<>\[\]#]|(?<!\w)_|_(?!\w)|~~)")
_CODE: Final = re.compile(r"(`[^`]+`)")
_ORDERED: Final = re.compile(r"^(\d+)([.)])(?= )|^([-+])(?= )")


def markdown(page: Page) -> str:
    """The whole page; a text on it stays text, whatever characters it has."""
    lines = [f"# {escaped(page.title)}", ""]
    for part in (*page.opening, *page.sections):
        lines += _part(part)
    return "\n".join(lines).rstrip("\n") + "\n"


def escaped(text: str) -> str:
    """`text` as one line of Markdown that shows it; what stands between backticks is code."""
    said = " ".join(visible(without_secrets(text)).split())
    parts = _CODE.split(said)
    said = "".join(part if at % 2 else _SPECIAL.sub(r"\\\1", part) for at, part in enumerate(parts))
    return _ORDERED.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", said)


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, Section):
        yield from (f"{'#' * part.level} {escaped(part.title)}", "")
        for each in part.parts:
            yield from _part(each)
    else:
        for one in simple(part):
            yield from _simple(one)


def _simple(part: Simple) -> Iterator[str]:
    if isinstance(part, Figure):
        return
    if isinstance(part, Prose):
        said = _words(part.text)
        yield f"**{said}**" if part.tone == "strong" else said
    elif isinstance(part, Items):
        yield from (f"- {_words(text)}" for text in part.texts)
    elif isinstance(part, Code):
        text = visible(without_secrets(part.text), "\n\t").strip("\n")
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
        yield from (f"{fence}{part.language}", *text.split("\n"), fence)
    elif isinstance(part, Table):
        yield from _grid(part)
    else:
        yield from own_words(part)
    yield ""


def _words(words: Words) -> str:
    """On one line; what is to be shown letter by letter has no code in it."""
    return escaped(words) if isinstance(words, str) else "".join(map(_piece, spans(words))).strip()


def _piece(each: str | Span) -> str:
    """Spaces beside it part it from the next."""
    text = each if isinstance(each, str) else " ".join(visible(without_secrets(each.text), "\n\t").split())
    said = escaped(text) if isinstance(each, str) else _SPECIAL.sub(r"\\\1", text)
    held = plain(each)
    return f"{' ' * held[:1].isspace()}{said}{' ' * held[-1:].isspace()}"


def own_words(part: Own) -> Iterator[str]:
    """A place for a person's words, between two markers."""
    yield BEGIN.format(part.name)
    yield from part.text.split("\n") if part.text else ()
    yield END


def _cell(text: Words) -> str:
    """In a table a bar ends the cell, in code too."""
    return re.sub(r"(?<!\\)\|", r"\\|", _words(text))


def _grid(part: Table) -> Iterator[str]:
    if part.title:
        yield from (f"**{escaped(part.title)}**", "")
    yield f"| {' | '.join(map(_cell, part.columns))} |"
    yield f"|{'|'.join('---:' if name in part.right else '---' for name in part.columns)}|"
    yield from (f"| {' | '.join(map(_cell, row))} |" for row in part.rows)
    if part.caption:
        yield from ("", escaped(part.caption))
