"""A page as a value: sections of prose, lists, tables and text to be pasted."""

from __future__ import annotations

from typing import NamedTuple

from ullage.reports.charts import Bars, Lines


class Prose(NamedTuple):
    """One paragraph."""

    text: str


class Items(NamedTuple):
    """A list of short texts."""

    texts: tuple[str, ...]


class Table(NamedTuple):
    """A table; columns named in `right` hold numbers, `caption` is said below it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()
    caption: str = ""


class Code(NamedTuple):
    """Text to be pasted as it stands, in a `language` as Markdown names them."""

    text: str
    language: str = ""


class Own(NamedTuple):
    """Where a person's own words stand: `name` marks the place, `text` is Markdown of theirs."""

    name: str
    text: str = ""


class Figure(NamedTuple):
    """A chart; a table beside it says the same, which is all that text has of it."""

    chart: Bars | Lines


Part = Prose | Items | Table | Code | Figure | Own


class Section(NamedTuple):
    """A heading and what stands below it; `level` 2 for those right below the title."""

    title: str
    parts: tuple[Part, ...]
    level: int = 2


class Page(NamedTuple):
    """A title, what stands before the first heading, and the sections."""

    title: str
    sections: tuple[Section, ...]
    opening: tuple[Part, ...] = ()
