"""Charts as values: stacked bars, and lines over an axis. `svg.drawn` draws them, `table` tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ullage.reports.pages.table import Table

Range = tuple[float, float]


class Segment(NamedTuple):
    """A part of a bar; `note` is what else is known of it."""

    name: str
    size: float
    note: str = ""


class Bar(NamedTuple):
    """Segments one after another. They may come to `most`; more than `limit` there is no room for. Bars of
    one `group` stand below its name, and have the same limit."""

    name: str
    segments: tuple[Segment, ...]
    most: float | None = None
    limit: float | None = None
    group: str = ""

    @property
    def title(self) -> str:
        """Its name where it stands alone."""
        return f"{self.group}: {self.name}" if self.group else self.name

    @property
    def reach(self) -> float:
        """The most that is drawn of it."""
        return max(self.size, self.most or 0.0, self.limit or 0.0)

    @property
    def size(self) -> float:
        return sum(segment.size for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of sizes in one `unit`, on one scale, which goes up to `scale` at least. Segments of one name look
    alike in all of them; those of `known` names in all charts that know the same. `note` says what is not
    drawn."""

    title: str
    description: str
    unit: str
    bars: tuple[Bar, ...]
    known: tuple[str, ...] = ()
    note: str = ""
    scale: float = 0.0

    @property
    def reach(self) -> float:
        """Where its scale ends."""
        return max([self.scale, *(bar.reach for bar in self.bars)])

    @property
    def names(self) -> tuple[str, ...]:
        """Of the segments, in the order in which they first stand."""
        return tuple(dict.fromkeys(segment.name for bar in self.bars for segment in bar.segments))

    @property
    def looks(self) -> dict[str, int]:
        """Of each name, which colour and hatching it has."""
        every = {name: at for at, name in enumerate(dict.fromkeys((*self.known, *self.names)))}
        return {name: every[name] for name in self.names}


class Line(NamedTuple):
    """Points (x, y) in the order in which they are joined. `weights`, from 0 to 1, size a dot on each."""

    name: str
    points: tuple[tuple[float, float], ...]
    dashed: bool = False
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines over one axis. Axes span what is drawn, from 0 on the left and below, unless `across` and `up`
    say otherwise; `marks` name values of x; `diagonal` draws where y equals x."""

    title: str
    description: str
    x: str
    y: str
    lines: tuple[Line, ...]
    across: Range | None = None
    up: Range | None = None
    marks: tuple[tuple[float, str], ...] = ()
    diagonal: bool = False


Chart = Bars | Lines


def table(chart: Chart) -> Table:
    """What a chart shows, in figures: a row for each bar with its parts, or for each point of each line."""
    if isinstance(chart, Lines):
        rows = tuple((line.name, f"{x:,.6g}", f"{y:,.6g}") for line in chart.lines for x, y in line.points)
        numbers = (chart.x, chart.y)
        return Table(("line", *numbers), rows, frozenset(numbers), chart.description, chart.title)
    names = chart.names
    columns = ("", *names, chart.unit, "at most", "limit")
    bars = tuple(_row(bar, names) for bar in chart.bars)
    return Table(columns, bars, frozenset(columns[1:]), chart.description, chart.title)


def _row(bar: Bar, names: tuple[str, ...]) -> tuple[str, ...]:
    sizes = dict.fromkeys(names, 0.0)
    for segment in bar.segments:
        sizes[segment.name] += segment.size
    ends = (bar.most, bar.limit)
    whole = (*sizes.values(), bar.size)
    return (
        bar.title,
        *(f"{size:,.2f}" for size in whole),
        *("" if end is None else f"{end:,.2f}" for end in ends),
    )
