"""Charts as SVG to stand within a page of HTML: text, no script, no style but attributes.

Colours differ for every kind of colour vision (Okabe and Ito, 2008), and parts of bars in their hatching too;
axes and words take the page's own colour, so that light and dark pages are both read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from textwrap import wrap
from typing import Final, NamedTuple
from zlib import crc32

from ullage.reports.charts import Bar, Bars, Chart, Line, Lines
from ullage.text import visible

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8A8A")
HATCHES: Final = ("", "M0 8L8 0", "M0 4H8", "M4 0V8", "M0 0L8 8", "M0 8L8 0M0 0L8 8", "M0 4H8M4 0V8")
"""Paths in a square of 8, one for each colour; more parts than colours take them in another pairing."""
WIDTH: Final = 480
"""Of lines over an axis."""
NARROW: Final = 280
"""Within a screen of 320: what words of bars fit in."""
SPAN: Final = 99.5
"""Percent of the width that bars take at most: the line at their end has one too."""
BOLD: Final = ' font-weight="600"'
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
    if isinstance(chart, Bars):
        body, height = _bars(chart)
        size = f'width="100%" height="{height}"'
    else:
        body, height = _plot(chart)
        size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
    title, description = _text(chart.title), _text(chart.description)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
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
    """As wide as there is room: lengths are shares of it, and words fit the narrowest screen. A line of words
    stands above each bar, two in a group that has long ones."""
    names = chart.looks
    key = f"u{crc32(repr(chart).encode()):08x}"
    scale = SPAN / (chart.reach or 1.0)
    body = [f"<defs>{''.join(_pattern(key, at) for at in names.values())}</defs>"]
    top = 0
    for more, text in ((BOLD, chart.title), ("", chart.note)):
        lines = wrap(text, int(NARROW / LETTER))
        body += (_words(0, top + 14 + LINE * at, line, more) for at, line in enumerate(lines))
        top += LINE * len(lines)
    group = ""
    long = {bar.group for bar in chart.bars if _is_long(bar, chart.unit)}
    for bar in chart.bars:
        if bar.group != group:
            group = bar.group
            body.append(_words(0, top + 22, _named(bar, chart.unit), BOLD))
            top += LINE + 11
        said = _said(bar, chart.unit)
        body.append(_words(0, top + 14, bar.name))
        if bar.group in long:
            top += LINE
        body.append(f'<text x="100%" y="{top + 14}" text-anchor="end">{_text(said)}</text>')
        body += _bar(bar, chart.unit, top, scale, key, names)
        top += ROW
    marks, bottom = _legend(names.items(), top + 10, key, wide=NARROW)
    return [*body, *marks], bottom


def _is_long(bar: Bar, unit: str) -> bool:
    """Whether its name and what is said of it would lie over each other side by side."""
    return LETTER * (len(bar.name) + len(_said(bar, unit)) + 1) > NARROW


def _named(bar: Bar, unit: str) -> str:
    """A group, and what there is room for in its bars."""
    return bar.group if bar.limit is None else f"{bar.group}, {bar.limit:,.2f} {unit} usable"


def _heading(title: str) -> str:
    return _words(0, 14, title, BOLD)


def _pattern(key: str, at: int) -> str:
    colour, hatch = COLOURS[at % len(COLOURS)], HATCHES[(at + at // len(COLOURS)) % len(HATCHES)]
    lines = f'<path d="{hatch}" stroke="#fff" stroke-opacity=".75" fill="none"/>' if hatch else ""
    return (
        f'<pattern id="{key}-{at}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" fill="{colour}"/>{lines}</pattern>'
    )


def _said(bar: Bar, unit: str) -> str:
    """Its size, its limit where no group says it, and where it may come."""
    limit = "" if bar.limit is None or bar.group else f" of {bar.limit:,.2f}"
    said = f"{bar.size:,.2f}{limit} {unit}"
    if bar.most is not None and f"{bar.most:,.2f}" != f"{bar.size:,.2f}":
        said += f", at most {bar.most:,.2f}"
    return said


def _bar(bar: Bar, unit: str, top: int, scale: float, key: str, names: dict[str, int]) -> Iterator[str]:
    left = 0.0
    for segment in bar.segments:
        note = f": {segment.note}" if segment.note else ""
        yield (
            f'<rect x="{left:.2f}%" y="{top + 20}" width="{segment.size * scale:.2f}%" '
            f'height="{THICK}" fill="url(#{key}-{names[segment.name]})">'
            f"<title>{_text(f'{segment.name} {segment.size:,.2f} {unit}{note}')}</title></rect>"
        )
        left += segment.size * scale
    if bar.most is not None and bar.most * scale > left:
        yield _stretch((left, bar.most * scale), (top + 28, top + 28))
        yield _stretch((bar.most * scale, bar.most * scale), (top + 23, top + 33))
    if bar.limit is not None:
        end = bar.limit * scale
        yield _stretch((end, end), (top + 17, top + 39), ' stroke-width="2"')


def _stretch(across: tuple[float, float], down: tuple[int, int], more: str = "") -> str:
    """A straight line between shares of the width."""
    return (
        f'<line x1="{across[0]:.2f}%" x2="{across[1]:.2f}%" y1="{down[0]}" y2="{down[1]}" '
        f'stroke="currentColor"{more}/>'
    )


def _legend(
    names: Iterable[tuple[str, int]],
    top: float,
    key: str = "",
    dashed: Sequence[bool] = (),
    wide: int = WIDTH,
) -> tuple[list[str], int]:
    """Marks and names, each with its look, in as many rows as they take where it is so `wide`; and where it
    ends. With a `key` they are squares of parts, else strokes of lines."""
    body, x, y = [], 0.0, top
    for name, at in names:
        size = 22 + LETTER * len(name) + 14
        if x and x + size > wide:
            x, y = 0.0, y + 18
        if key:
            body.append(
                f'<rect x="{_number(x)}" y="{_number(y)}" width="14" height="12" fill="url(#{key}-{at})"/>'
            )
        else:
            body.append(_line(f"M{_number(x)} {_number(y + 6)}h16", _stroke(at, dashed[at])))
        body.append(_words(x + 20, y + 10, name))
        x += size
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
        yield _words(x - 4 if past else x + 4, TOP + 16, name, more)


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
