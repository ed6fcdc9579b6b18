"""Charts as SVG to stand within a page of HTML: text, no script, no style but attributes.

Colours differ for every kind of colour vision (Okabe and Ito, 2008), and parts of bars in their hatching too;
axes and words take the page's own colour, so that light and dark pages are both read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final, NamedTuple
from zlib import crc32

from ullage.reports.charts import Bar, Bars, Chart, Line, Lines
from ullage.text import visible

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8A8A")
HATCHES: Final = ("", "M0 8L8 0", "M0 4H8", "M4 0V8", "M0 0L8 8", "M0 8L8 0M0 0L8 8", "M0 4H8M4 0V8")
"""Paths in a square of 8, one for each colour; more parts than colours take them in another pairing."""
WIDTH: Final = 480
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 26, 38
HEIGHT: Final = 250
"""Of a plot, without its words."""
LETTER: Final = 6.3
"""Width of a letter of 12 px, about."""
ROW, THICK, LINE = 44, 16, 15
MOST_POINTS: Final = 2_000
"""Of a line; of more than can be seen some are left out, never the highest of those beside it."""


def drawn(chart: Chart) -> str:
    """An element `svg`, named and described for who does not see it. The same chart is the same text."""
    body, height = _bars(chart) if isinstance(chart, Bars) else _plot(chart)
    title, description = _text(chart.title), _text(chart.description)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" '
        f'aria-label="{title}" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
        f"<title>{title}</title><desc>{description}</desc>{''.join(body)}</svg>"
    )


class Drawing(NamedTuple):
    """A chart that a notebook shows."""

    chart: Chart

    def to_svg(self) -> str:
        """An element `svg` to stand within a page of HTML."""
        return drawn(self.chart)

    def _repr_html_(self) -> str:
        return self.to_svg()


def _text(text: str) -> str:
    """Names come from files that anyone may have written."""
    return escape(visible(text))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _words(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{_number(x)}" y="{_number(y)}"{more}>{_text(text)}</text>'


def _line(path: str, more: str = ' stroke="currentColor" stroke-opacity=".35"') -> str:
    return f'<path d="{path}" fill="none"{more}/>'


def _bars(chart: Bars) -> tuple[list[str], int]:
    """A line of words above each bar, two where they are long, so that they need no room beside it."""
    names = chart.looks
    key = f"u{crc32(repr(chart).encode()):08x}"
    sizes = [size for bar in chart.bars for size in (bar.size, bar.most or 0.0, bar.limit or 0.0)]
    scale = (WIDTH - 2) / (max(sizes, default=0.0) or 1.0)
    body = [f"<defs>{''.join(_pattern(key, at) for at in names.values())}</defs>", _heading(chart.title)]
    top = TOP
    for bar in chart.bars:
        said = _said(bar, chart.unit)
        body.append(_words(0, top + 14, bar.name))
        if LETTER * (len(bar.name) + len(said) + 1) > WIDTH:  # side by side one would lie over the other
            top += LINE
        body.append(_words(WIDTH, top + 14, said, ' text-anchor="end"'))
        body += _bar(bar, chart.unit, top, scale, key, names)
        top += ROW
    marks, bottom = _legend(names.items(), top + 10, key)
    return [*body, *marks], bottom


def _heading(title: str) -> str:
    return _words(0, 14, title, ' font-weight="600"')


def _pattern(key: str, at: int) -> str:
    colour, hatch = COLOURS[at % len(COLOURS)], HATCHES[(at + at // len(COLOURS)) % len(HATCHES)]
    lines = f'<path d="{hatch}" stroke="#fff" stroke-opacity=".75" fill="none"/>' if hatch else ""
    return (
        f'<pattern id="{key}-{at}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" fill="{colour}"/>{lines}</pattern>'
    )


def _said(bar: Bar, unit: str) -> str:
    """Its size, its limit, and where it may come."""
    said = f"{bar.size:,.2f}" + ("" if bar.limit is None else f" of {bar.limit:,.2f}") + f" {unit}"
    if bar.most is not None and f"{bar.most:,.2f}" != f"{bar.size:,.2f}":
        said += f", at most {bar.most:,.2f}"
    return said


def _bar(bar: Bar, unit: str, top: int, scale: float, key: str, names: dict[str, int]) -> Iterator[str]:
    left, middle = 0.0, top + 20 + THICK / 2
    for segment in bar.segments:
        note = f": {segment.note}" if segment.note else ""
        yield (
            f'<rect x="{_number(left)}" y="{top + 20}" width="{_number(segment.size * scale)}" '
            f'height="{THICK}" fill="url(#{key}-{names[segment.name]})">'
            f"<title>{_text(f'{segment.name} {segment.size:,.2f} {unit}{note}')}</title></rect>"
        )
        left += segment.size * scale
    if bar.most is not None and bar.most * scale > left:
        end = bar.most * scale
        path = f"M{_number(left)} {_number(middle)}H{_number(end)}M{_number(end)} {top + 23}V{top + 33}"
        yield _line(path, ' stroke="currentColor"')
    if bar.limit is not None:
        yield _line(
            f"M{_number(bar.limit * scale)} {top + 17}V{top + 39}", ' stroke="currentColor" stroke-width="2"'
        )


def _legend(
    names: Iterable[tuple[str, int]], top: float, key: str = "", dashed: Sequence[bool] = ()
) -> tuple[list[str], int]:
    """Marks and names, each with its look, in as many rows as they take; and where it ends. With a `key` they
    are squares of parts, else strokes of lines."""
    body, x, y = [], 0.0, top
    for name, at in names:
        wide = 22 + LETTER * len(name) + 14
        if x and x + wide > WIDTH:
            x, y = 0.0, y + 18
        if key:
            body.append(
                f'<rect x="{_number(x)}" y="{_number(y)}" width="14" height="12" fill="url(#{key}-{at})"/>'
            )
        else:
            body.append(_line(f"M{_number(x)} {_number(y + 6)}h16", _stroke(at, dashed[at])))
        body.append(_words(x + 20, y + 10, name))
        x += wide
    return body, math.ceil(y + 18) if body else math.ceil(top)


def _stroke(at: int, dashed: bool) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f' stroke="{COLOURS[at % len(COLOURS)]}" stroke-width="2"{dash}'


def _plot(chart: Lines) -> tuple[list[str], int]:
    points = [point for line in chart.lines for point in line.points]
    across = chart.across or _span([x for x, _ in points])
    up = chart.up or _span([y for _, y in points])
    scale = _Scale(across, up)
    body = [_heading(chart.title), *_axes(chart, scale)]
    if chart.diagonal:
        ends = max(across[0], up[0]), min(across[1], up[1])
        (a, b), (c, d) = scale.at(ends[0], ends[0]), scale.at(ends[1], ends[1])
        body.append(_line(f"M{_number(a)} {_number(b)}L{_number(c)} {_number(d)}"))
    for at, line in enumerate(chart.lines):
        body += _curve(line, at, scale)
    body += _marks(chart, scale)
    marks, bottom = _legend(
        [(line.name, at) for at, line in enumerate(chart.lines)],
        TOP + HEIGHT + BOTTOM + 8,
        dashed=[line.dashed for line in chart.lines],
    )
    return [*body, *marks], bottom


def _span(values: list[float]) -> tuple[float, float]:
    return min([0.0, *values]), max(values, default=0.0) or 1.0


class _Scale:
    """From values to places in the plot."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self.across, self.up = across, up

    def at(self, x: float, y: float) -> tuple[float, float]:
        wide, high = self.across[1] - self.across[0] or 1.0, self.up[1] - self.up[0] or 1.0
        return (
            LEFT + (WIDTH - LEFT - RIGHT) * (x - self.across[0]) / wide,
            TOP + HEIGHT - HEIGHT * (y - self.up[0]) / high,
        )


def _axes(chart: Lines, scale: _Scale) -> Iterator[str]:
    bottom = TOP + HEIGHT
    yield _line(f"M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}", ' stroke="currentColor" stroke-opacity=".6"')
    for value in ticks(*scale.across):
        x, _ = scale.at(value, scale.up[0])
        yield _words(x, bottom + 15, f"{value:,g}", ' text-anchor="middle"')
    for value in ticks(*scale.up):
        _, y = scale.at(scale.across[0], value)
        yield _line(f"M{LEFT} {_number(y)}H{WIDTH - RIGHT}", ' stroke="currentColor" stroke-opacity=".12"')
        yield _words(LEFT - 6, y + 4, f"{value:,g}", ' text-anchor="end"')
    yield _words((LEFT + WIDTH - RIGHT) / 2, bottom + 32, chart.x, ' text-anchor="middle"')
    middle = TOP + HEIGHT / 2
    turned = f' text-anchor="middle" transform="rotate(-90 11 {_number(middle)})"'
    yield _words(11, middle, chart.y, turned)


def _marks(chart: Lines, scale: _Scale) -> Iterator[str]:
    """Upright lines with their names, which are read over whatever curve they lie on."""
    for value, name in chart.marks:
        x, _ = scale.at(value, scale.up[0])
        yield _line(f"M{_number(x)} {TOP}V{TOP + HEIGHT}", ' stroke="currentColor" stroke-dasharray="2 3"')
        past = x > WIDTH / 2
        more = ' paint-order="stroke" stroke="Canvas" stroke-width="4"' + (
            ' text-anchor="end"' if past else ""
        )
        yield _words(x - 4 if past else x + 4, TOP + 10, name, more)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values from `low` to `high`."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * each for each in (1, 2, 5, 10) if size * each >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]


def _curve(line: Line, at: int, scale: _Scale) -> Iterator[str]:
    places = [scale.at(x, y) for x, y in thinned(line.points)]
    if places:
        path = "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in places)
        yield _line(path, _stroke(at, line.dashed))
    for (x, y), weight in zip(line.points, line.weights, strict=False):
        left, top = scale.at(x, y)
        said = _text(f"{line.name}: {x:,.4g}, {y:,.4g}")
        size = _number(2 + 7 * math.sqrt(max(weight, 0.0)))
        colour = COLOURS[at % len(COLOURS)]
        yield (
            f'<circle cx="{_number(left)}" cy="{_number(top)}" r="{size}" fill="{colour}" fill-opacity=".7">'
            f"<title>{said}</title></circle>"
        )


def thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """At most so many points as can be seen: the ends, and of each group of neighbours its highest."""
    if len(points) <= MOST_POINTS:
        return points
    each = -(-(len(points) - 2) // (MOST_POINTS - 2))
    within = points[1:-1]
    highest = [max(within[at : at + each], key=lambda one: one[1]) for at in range(0, len(within), each)]
    return [points[0], *highest, points[-1]]
