"""How a value looks: one line in a traceback, a page when printed, a table in a notebook, a document in JSON.

Values live in rooms that know no page; the page of a value is looked up by name when someone wants to see it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

PAGES: Final = "ullage.reports.shown"
DETAILS: Final = "details"
LONGEST_NAME: Final = 60


class Shown:
    """A value with a page of its own. Its class writes `__repr__`, one line."""

    __slots__ = ()

    def __str__(self) -> str:
        """The page, as a terminal shows it, without colour."""
        page: str = import_module(PAGES).page(self)
        return page

    def __format__(self, form: str) -> str:
        """`f"{plan:details}"` is what `--details` adds to the page of a plan; without a form, the page."""
        if form != DETAILS:
            return format(str(self), form)
        details: str = import_module(PAGES).details(self)
        return details

    def to_json(self) -> dict[str, object]:
        """The document that commands print with `--json`, as docs/json.md has it."""
        document: dict[str, object] = import_module(PAGES).document(self)
        return document

    def _repr_html_(self) -> str:
        """The table that a notebook shows."""
        table: str = import_module(PAGES).table(self)
        return table


def named(name: str) -> str:
    """A name for one line, whatever is in it: quoted, and cut where it is long."""
    return repr(name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "...")
