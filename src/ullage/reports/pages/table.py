"""A table as a value."""

from __future__ import annotations

from typing import NamedTuple

from ullage.reports.pages.words import Words


class Table(NamedTuple):
    """A table; columns named in `right` hold numbers, `title` stands above it, `caption` is said below. What
    columns in `noted` say may stand below it, where there is no room for them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    right: frozenset[str] = frozenset()
    caption: str = ""
    title: str = ""
    noted: frozenset[str] = frozenset()
