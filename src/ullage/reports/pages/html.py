"""A page as one file of HTML that needs nothing beside itself, and its parts to stand within another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

from ullage.reports.pages.listed_html import listed
from ullage.reports.pages.markdown import own_words
from ullage.reports.pages.page import (
    AtOnce,
    Beside,
    Code,
    Facts,
    Figure,
    Fold,
    Gauge,
    Items,
    Listed,
    Page,
    Part,
    Picture,
    Prose,
    Section,
    at_once,
)
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words, plain, spans
from ullage.reports.svg import drawn
from ullage.text import visible, without_secrets

STYLE: Final = Path(__file__).with_name("page.css")
"""Of every page of HTML."""
SCRIPT: Final = Path(__file__).with_name("listed.js")
"""Of a page that has a list to be looked through; without it all of the list is there."""
LONG: Final = 40
LONG_NAME: Final = 20
"""Letters of a cell, and of the one that names its row, that have a width of their own."""
NAMED: Final = 3
"""Headings down to this level may be led to."""
DARKEST: Final = 0.7
"""Opacity of the darkest shade: words on it are read in both themes (a contrast of 4.5 and more)."""
HUES: Final = {"orange": "213, 94, 0", "blue": "0, 114, 178"}


def html(page: Page) -> str:
    """The whole page; everything on it is escaped but what a person wrote into it as HTML."""
    title = shown(page.title)
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{title}</title>",
        f"<style>\n{_text(STYLE)}</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{title}</h1>",
        *parts(page.opening),
        *parts(page.sections),
        "</main>",
    ]
    if any(isinstance(part, Listed) for section in page.sections for part in section.parts):
        lines.append(f"<script>{script()}</script>")
    return "\n".join((*lines, "</body>", "</html>")) + "\n"


def script() -> str:
    """What a page that has a list runs, letter by letter."""
    return f"\n{_text(SCRIPT)}"


def tables(page: Page) -> str:
    """The tables of a page alone, under their headings, for a notebook."""
    grids = (
        (section, part) for section in page.sections for part in section.parts if isinstance(part, Table)
    )
    return "".join(f"<p>{shown(section.title)}</p>{''.join(table(part))}" for section, part in grids)


def parts(each: Iterable[Part]) -> Iterator[str]:
    """Lines of HTML, to stand within a page that has the style."""
    for part in each:
        yield from _part(part)


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, Prose):
        yield f"<p{_class(part.tone)}>{inline(part.text)}</p>"
    elif isinstance(part, Items):
        items = "".join(f"<li>{inline(text)}</li>" for text in part.texts)
        yield f"<ul{_class(part.tone)}>{items}</ul>"
    elif isinstance(part, Code):
        yield f"<pre><code>{shown(part.text)}</code></pre>"
    elif isinstance(part, Table):
        yield from table(part)
    elif isinstance(part, Figure):
        caption = f"<figcaption>{shown(part.caption)}</figcaption>" if part.caption else ""
        yield f"<figure>{_scrolling(part.chart.title)}{drawn(part.chart)}</div>{caption}</figure>"
    elif isinstance(part, Picture):
        yield f'<img alt="{shown(part.name)}" src="data:image/png;base64,{escape(part.png)}">'
    elif isinstance(part, Gauge):
        said = shown(part.said)
        yield f'<p><meter value="{min(part.most, 1.0):.3f}" aria-hidden="true"></meter> {said}</p>'
    elif isinstance(part, Facts | AtOnce | Beside | Fold | Listed | Section):
        yield from _holder(part)
    else:
        yield from own_words(part)


def _holder(part: Facts | AtOnce | Beside | Fold | Listed | Section) -> Iterator[str]:
    """What has parts within."""
    if isinstance(part, AtOnce):
        yield from parts(at_once(part))
    elif isinstance(part, Facts):
        yield "<dl>"
        for name, held in part.pairs:
            yield from (f"<dt>{inline(name)}</dt><dd>", *parts(held), "</dd>")
        yield "</dl>"
    elif isinstance(part, Beside):
        yield '<div class="beside">'
        for each in part.parts:
            yield from ("<div>", *_part(each), "</div>")
        yield "</div>"
    elif isinstance(part, Fold):
        yield from _fold(part)
    elif isinstance(part, Listed):
        lines = ((inline(entry.line), "\n".join(parts(entry.parts))) for entry in part.entries)
        yield from listed(part, lines)
    else:
        named = f' id="{_slug(part.title)}"' if part.level <= NAMED else ""
        yield f"<h{part.level}{named}>{shown(part.title)}</h{part.level}>"
        yield from parts(part.parts)


def _fold(part: Fold) -> Iterator[str]:
    view = f' data-view="{shown(part.view)}"' if part.view else ""
    yield f"<details{_class('reveals' if part.reveal else '')}{view}{' open' if part.opened else ''}>"
    yield f"<summary>{inline(part.title)}</summary>"
    if part.reveal:
        yield f'<label><input type="checkbox"> {shown(part.reveal)}</label>'
    yield from parts(part.parts)
    yield "</details>"


def table(part: Table) -> Iterator[str]:
    """It scrolls by itself where there is no room; the first cell of a row names it."""
    marks = [_class("n" if name in part.right else "") for name in part.columns]
    heads = zip(part.columns, marks, strict=True)
    head = "".join(
        f'<th scope="col"{mark}>{shown(name)}</th>' if name else "<td></td>" for name, mark in heads
    )
    title = f"<caption>{shown(part.title)}</caption>" if part.title else ""
    yield _scrolling(part.title or ", ".join(filter(None, part.columns)))
    yield f"<table>{title}<thead><tr>{head}</tr></thead><tbody>"
    for first, *rest in part.rows:
        cells = zip(rest, marks[1:], strict=True)
        held = "".join([f"<td{mark or _breadth(cell, LONG)}>{inline(cell)}</td>" for cell, mark in cells])
        yield f'<tr><th scope="row"{marks[0] or _breadth(first, LONG_NAME)}>{inline(first)}</th>{held}</tr>'
    yield "</tbody></table></div>"
    if part.caption:
        yield f'<p class="note">{inline(part.caption)}</p>'


def _breadth(cell: Words, longest: int) -> str:
    """So that what is long is not squeezed to a letter or two a line."""
    return _class("long" if len(plain(cell)) > longest else "")


def _scrolling(label: str) -> str:
    """Begins what is wider than a narrow screen, which keys scroll as well."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{shown(label)}">'


def inline(words: Words) -> str:
    """Within a line."""
    if isinstance(words, str):
        return _coded(words)
    return "".join(_coded(each) if isinstance(each, str) else _span(each) for each in spans(words))


def shown(text: str) -> str:
    """Letter by letter."""
    return escape(visible(without_secrets(text), "\n\t"))


def _coded(text: str) -> str:
    """What stands between backticks is code."""
    said = shown(text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", said) if "`" in said else said


def _span(each: Span) -> str:
    text = shown(each.text)
    tip = f' title="{shown(each.tip)}"' if each.tip else ""
    if each.to:
        return f'<a href="{escape(each.to)}"{tip}>{text}</a>'
    if each.shade is not None:
        style = f"background: rgba({HUES[each.hue]}, {DARKEST * each.shade:.2f})"
        return f'<span class="shaded" style="{style}"{tip}>{text}</span>'
    if each.tone == "strong":
        return f"<b{tip}>{text}</b>"
    return f"<span{_class(each.tone)}{tip}>{text}</span>" if each.tone or tip else text


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
