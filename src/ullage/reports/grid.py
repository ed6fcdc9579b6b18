"""A table as values, for a notebook and for HTML."""

from __future__ import annotations

from typing import NamedTuple


class Grid(NamedTuple):
    """A table: its title, its columns, its rows, and what is said below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
