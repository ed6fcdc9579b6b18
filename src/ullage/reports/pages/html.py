"""A page as one file of HTML that needs nothing beside itself, not even a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Final

from ullage.reports.pages.markdown import own_words
from ullage.reports.pages.page import Code, Figure, Items, Page, Part, Prose, Table
from ullage.reports.svg import drawn
from ullage.text import visible, without_secrets

_STYLE: Final = """\
:root { color-scheme: light dark; --line: #8886; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; }
h1, h2, h3, p, li, td, th { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
caption { caption-side: bottom; text-align: left; padding-top: .3rem; opacity: .8; }
pre { overflow-x: auto; border: 1px solid var(--line); padding: .6rem; }"""


def html(page: Page) -> str:
    """The whole page; everything on it is escaped but what a person wrote into it as HTML."""
    title = _shown(page.title)
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{title}</title>",
        f"<style>\n{_STYLE}\n</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{title}</h1>",
    ]
    for part in page.opening:
        lines += _part(part)
    for section in page.sections:
        lines.append(f"<h{section.level}>{_shown(section.title)}</h{section.level}>")
        for part in section.parts:
            lines += _part(part)
    return "\n".join((*lines, "</main>", "</body>", "</html>")) + "\n"


def tables(page: Page) -> str:
    """The tables of a page alone, under their headings, for a notebook."""
    grids = (
        (section, part) for section in page.sections for part in section.parts if isinstance(part, Table)
    )
    return "".join(f"<p>{_shown(section.title)}</p>{''.join(_grid(part))}" for section, part in grids)


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, Prose):
        yield f"<p>{_words(part.text)}</p>"
    elif isinstance(part, Items):
        yield f"<ul>{''.join(f'<li>{_words(text)}</li>' for text in part.texts)}</ul>"
    elif isinstance(part, Code):
        yield f"<pre><code>{_shown(part.text)}</code></pre>"
    elif isinstance(part, Table):
        yield from _grid(part)
    elif isinstance(part, Figure):
        yield f"<figure>{drawn(part.chart)}</figure>"
    else:
        yield from own_words(part)


def _grid(part: Table) -> Iterator[str]:
    caption = f"<caption>{_shown(part.caption)}</caption>" if part.caption else ""
    marks = ['class="n"' if name in part.right else "" for name in part.columns]
    head = "".join(
        f"<th scope=col {mark}>{_shown(name)}</th>" for name, mark in zip(part.columns, marks, strict=True)
    )
    yield '<div class="wide" tabindex="0" role="region" aria-label="table">'
    yield f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>"
    for row in part.rows:
        cells = zip(row, marks, strict=True)
        yield "<tr>" + "".join(f"<td {mark}>{_words(cell)}</td>" for cell, mark in cells) + "</tr>"
    yield "</tbody></table></div>"


def _shown(text: str) -> str:
    return escape(visible(without_secrets(text), "\n\t"))


def _words(text: str) -> str:
    """What stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _shown(text))
