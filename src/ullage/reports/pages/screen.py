"""A page on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ullage.reports.pages.page import Code, Items, Page, Part, Prose, Table
from ullage.reports.tables import below, new_table, print_hanging, print_table


def show_page(page: Page, console: Console) -> None:
    """Prints all of it; a person's own words are left out."""
    console.print(Text(page.title, style="bold"))
    for part in page.opening:
        _show(part, console)
    for section in page.sections:
        console.print()
        console.print(Text(section.title, style="bold"))
        for part in section.parts:
            _show(part, console)


def _show(part: Part, console: Console) -> None:
    if isinstance(part, Prose):
        print_hanging("", part.text, console)
    elif isinstance(part, Items):
        for text in part.texts:
            print_hanging("- ", text, console)
    elif isinstance(part, Code):
        for line in part.text.splitlines():
            console.print(Text(f"    {line}"), soft_wrap=True)
    elif isinstance(part, Table):
        table = new_table("", part.columns, part.right)
        table.title = None
        for row in part.rows:
            table.add_row(*row)
        if part.caption:
            below(table, part.caption)
        print_table(table, console)
