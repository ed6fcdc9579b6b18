"""How a value looks to a program: one line in a traceback, a page when printed, a table in a notebook.

Values live in rooms that know no page; the page of a value is looked up by name when someone wants to see it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

PAGES: Final = "ullage.reports.shown"
LONGEST_NAME: Final = 60


class Shown:
    """A value with a page and a document of its own. Its class writes `__repr__`, one line."""

    __slots__ = ()

    def __str__(self) -> str:
        """The page, as a terminal shows it, without colour."""
        page: str = import_module(PAGES).page(self)
        return page

    def to_json(self) -> str:
        """The document, as `--json` prints it; docs/json.md describes it."""
        document: str = import_module(PAGES).document(self)
        return document

    def _repr_html_(self) -> str:
        """The table that a notebook shows."""
        table: str = import_module(PAGES).table(self)
        return table


def named(name: str) -> str:
    """A name for one line, whatever is in it: quoted, and cut where it is long."""
    return repr(name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "...")
