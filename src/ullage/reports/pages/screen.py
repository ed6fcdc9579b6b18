"""A page on the terminal."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.text import Text

from ullage.reports.pages.page import Code, Items, Page, Part, Prose, Section, Simple, simple
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Tone, Words, spans
from ullage.reports.tables import below, new_table, print_hanging, print_table

STYLES: Final[dict[Tone, str]] = {
    "": "",
    "note": "dim",
    "bad": "red",
    "warning": "yellow",
    "good": "green",
    "strong": "bold",
    "secret": "dim",
}


def show_page(page: Page, console: Console) -> None:
    """Prints all of it; a person's own words are left out."""
    console.print(Text(page.title, style="bold"))
    for part in (*page.opening, *page.sections):
        show_part(part, console)


def show_part(part: Part, console: Console) -> None:
    """Prints a part of a page; a chart is what the table beside it says."""
    if isinstance(part, Section):
        console.print()
        console.print(Text(part.title, style="bold"))
        for each in part.parts:
            show_part(each, console)
    else:
        for one in simple(part):
            _show(one, console)


def _show(part: Simple, console: Console) -> None:
    if isinstance(part, Prose):
        print_hanging("", _text(part.text), console, STYLES[part.tone])
    elif isinstance(part, Items):
        for text in part.texts:
            print_hanging("- ", _text(text), console, STYLES[part.tone])
    elif isinstance(part, Code):
        for line in part.text.splitlines():
            console.print(Text(f"    {line}"), soft_wrap=True)
    elif isinstance(part, Table):
        table = new_table(part.title, part.columns, part.right)
        table.title = part.title or None
        for row in part.rows:
            table.add_row(*map(_text, row))
        if part.caption:
            below(table, part.caption)
        print_table(table, console)


def _text(words: Words) -> str | Text:
    """What is only words stays so."""
    if isinstance(words, str):
        return words
    pieces = (each if isinstance(each, str) else (each.text, STYLES[each.tone]) for each in spans(words))
    return Text.assemble(*pieces)
