"""A page as a value: sections of prose, lists, tables, charts and text to be pasted."""

from __future__ import annotations

from typing import NamedTuple

from ullage.reports.charts import Chart
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Tone, Words, plain


class Prose(NamedTuple):
    """One paragraph."""

    text: Words
    tone: Tone = ""


class Items(NamedTuple):
    """A list of short texts."""

    texts: tuple[Words, ...]
    tone: Tone = ""


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

    chart: Chart
    caption: str = ""


class Picture(NamedTuple):
    """A PNG in base64, and what it is."""

    png: str
    name: str


class Facts(NamedTuple):
    """Names, and what is said of each."""

    pairs: tuple[tuple[Words, tuple[Part, ...]], ...]


class Gauge(NamedTuple):
    """How much of a limit is taken: a share that surely is, one that may be, and figures to them."""

    sure: float
    most: float
    said: str
    tone: Tone = ""


class Share(NamedTuple):
    """Parts of what is seen at once, of which at least so many lines stand where there is no room for all.
    What is of use as a whole alone has something to stand `instead` of it where that does not do."""

    parts: tuple[Part, ...]
    least: int
    instead: Part | None = None


class AtOnce(NamedTuple):
    """What is seen at once, and the last, which always is. `more` shows what is left out."""

    parts: tuple[Share, ...]
    last: Part
    more: str


class Beside(NamedTuple):
    """Parts that stand side by side where there is room."""

    parts: tuple[Part, ...]


class Fold(NamedTuple):
    """Parts under a line that opens them. With `reveal`, what that says shows the secret words within; with
    `view`, it is there only while the page's list is seen in that view."""

    title: Words
    parts: tuple[Part, ...]
    opened: bool = False
    reveal: str = ""
    view: str = ""


class Entry(NamedTuple):
    """One of a list: its line, what lies under it, the `marks` that it has in each view (None: it is not in
    that one), and a number for each order, the least first."""

    line: Words
    parts: tuple[Part, ...]
    marks: tuple[tuple[str, ...] | None, ...]
    ranks: tuple[float, ...]


class Listed(NamedTuple):
    """Entries that are looked through in a `chosen` one of `views`, by filters and in orders: each a mark or
    a key and what it is called. The filter `all` passes every entry."""

    entries: tuple[Entry, ...]
    filters: tuple[tuple[str, str], ...]
    orders: tuple[tuple[str, str], ...]
    seen: str
    views: tuple[str, ...]
    chosen: str = ""


class Section(NamedTuple):
    """A heading and what stands below it; `level` 2 for those right below the title."""

    title: str
    parts: tuple[Part, ...]
    level: int = 2


Simple = Prose | Items | Table | Code | Own | Figure
"""What text has too."""
Part = Simple | Picture | Gauge | Facts | AtOnce | Beside | Fold | Listed | Section


class Page(NamedTuple):
    """A title, what stands before the first heading, and the sections."""

    title: str
    sections: tuple[Section, ...]
    opening: tuple[Part, ...] = ()


def simple(part: Part) -> tuple[Simple, ...]:
    """The same for those who can only read on: nothing beside another, folded or filtered."""
    if isinstance(part, Facts):
        return tuple(each for name, parts in part.pairs for each in _named(name, parts))
    if isinstance(part, Beside):
        return tuple(each for one in part.parts for each in simple(one))
    if isinstance(part, AtOnce):
        return tuple(each for one in at_once(part) for each in simple(one))
    if isinstance(part, Gauge):
        return (Prose(part.said, part.tone),)
    if isinstance(part, Fold | Section):
        return Prose(part.title, "strong"), *(each for one in part.parts for each in simple(one))
    if isinstance(part, Listed):
        return (Items(tuple(entry.line for entry in part.entries)),)
    return (Prose(part.name, "note"),) if isinstance(part, Picture) else (part,)


def at_once(part: AtOnce) -> tuple[Part, ...]:
    """All of it, one after another."""
    return *(each for share in part.parts for each in share.parts), part.last


def _named(name: Words, parts: tuple[Part, ...]) -> tuple[Simple, ...]:
    found = tuple(each for one in parts for each in simple(one))
    if len(found) == 1 and isinstance(found[0], Prose):
        return (Prose(f"{plain(name)}: {plain(found[0].text)}", found[0].tone),)
    return Prose(f"{plain(name)}:"), *found
