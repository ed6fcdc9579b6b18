"""A page as Markdown, the same bytes for the same page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ullage.reports.pages.page import Code, Items, Own, Page, Part, Prose, Table
from ullage.text import visible, without_secrets

BEGIN: Final = "<!-- own words: {} -->"
END: Final = "<!-- end of own words -->"
_SPECIAL: Final = re.compile(r"([\\`*|<>\[\]#]|(?<!\w)_|_(?!\w)|~~)")
_CODE: Final = re.compile(r"(`[^`]+`)")
_ORDERED: Final = re.compile(r"^(\d+)([.)])(?= )|^([-+])(?= )")


def markdown(page: Page) -> str:
    """The whole page; a text on it stays text, whatever characters it has."""
    lines = [f"# {escaped(page.title)}", ""]
    for part in page.opening:
        lines += _part(part)
    for section in page.sections:
        lines += [f"{'#' * section.level} {escaped(section.title)}", ""]
        for part in section.parts:
            lines += _part(part)
    return "\n".join(lines).rstrip("\n") + "\n"


def escaped(text: str) -> str:
    """`text` as one line of Markdown that shows it; what stands between backticks is code."""
    said = " ".join(visible(without_secrets(text)).split())
    parts = _CODE.split(said)
    said = "".join(part if at % 2 else _SPECIAL.sub(r"\\\1", part) for at, part in enumerate(parts))
    return _ORDERED.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", said)


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, Prose):
        yield escaped(part.text)
    elif isinstance(part, Items):
        yield from (f"- {escaped(text)}" for text in part.texts)
    elif isinstance(part, Code):
        text = visible(without_secrets(part.text), "\n\t").strip("\n")
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
        yield from (f"{fence}{part.language}", *text.split("\n"), fence)
    elif isinstance(part, Table):
        yield from _grid(part)
    elif isinstance(part, Own):
        yield from own_words(part)
    else:
        return
    yield ""


def own_words(part: Own) -> Iterator[str]:
    """A place for a person's words, between two markers."""
    yield BEGIN.format(part.name)
    yield from part.text.split("\n") if part.text else ()
    yield END


def _cell(text: str) -> str:
    """In a table a bar ends the cell, in code too."""
    return re.sub(r"(?<!\\)\|", r"\\|", escaped(text))


def _grid(part: Table) -> Iterator[str]:
    yield f"| {' | '.join(map(_cell, part.columns))} |"
    yield f"|{'|'.join('---:' if name in part.right else '---' for name in part.columns)}|"
    yield from (f"| {' | '.join(map(_cell, row))} |" for row in part.rows)
    if part.caption:
        yield from ("", escaped(part.caption))
