"""What requests take, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ullage.reports.figures import UNKNOWN, spread
from ullage.reports.pages.table import Table

if TYPE_CHECKING:
    from ullage.planning.latency import Latency, Rate, WayTime
    from ullage.units import Estimate

LATENCY: Final = "latency: seconds of one request by itself (roofline estimate)"


def latency_tables(latency: Latency) -> tuple[Table, ...]:
    """The stages of a request of each way, what it takes in all, and how many are answered."""
    names = tuple(dict.fromkeys(stage.name for way in latency.ways for stage in way.stages))
    stages = tuple((way.name, *(_stage(way, name) for name in names)) for way in latency.ways)
    missing = dict.fromkeys(each for way in latency.ways for each in way.unknown)
    said = [
        "resident: whom it needs is there; switched: brought from where it waits; first of all: from disk; "
        "in brackets from the least to the most"
    ]
    if missing:
        said.append(f"> is more than what is known: {', '.join(missing)} is not")
    said += _again(latency)
    whole = tuple((way.name, *_whole(way)) for way in latency.ways)
    rates = tuple((way.name, _batches(way), *_rates(way)) for way in latency.ways)
    if len(rates) > 1:
        rates = (*rates, ("all equally often", "", *_rates(latency)))
    return (
        _table(LATENCY, names, stages),
        _table("in all", ("resident", "switched", "first of all"), whole, "; ".join(said)),
        _table("requests a day, in the plan's batches", ("at once", "resident", "switched"), rates),
    )


def _table(title: str, names: Sequence[str], rows: tuple[tuple[str, ...], ...], caption: str = "") -> Table:
    return Table(("to", *names), rows, frozenset(names), caption, title)


def _again(latency: Latency) -> Iterator[str]:
    """What the tools that specialists call add."""
    calling = {stage.role: stage for way in latency.ways for stage in way.stages if stage.again}
    for name, stage in calling.items():
        each = UNKNOWN if stage.seconds is None else f"{_ends(stage.seconds)} s at least"
        yield f"{name} writes again after each tool it calls, up to {stage.again} times: {each} more for each"


def _stage(way: WayTime, name: str) -> str:
    own = [stage for stage in way.stages if stage.name == name]
    if any(stage.seconds is None for stage in own):
        return UNKNOWN
    return f"{sum(stage.known.expected for stage in own):,.2f}" if own else ""


def _whole(way: WayTime) -> Iterator[str]:
    """The three totals; of one with an unknown part what is known."""
    for seconds, away in ((way.there, False), (way.away, True)):
        yield f"> {way.known(away=away).low:,.1f}" if seconds is None else _ends(seconds)
    yield UNKNOWN if way.at_first is None else _ends(way.at_first)


def _ends(seconds: Estimate) -> str:
    """With two decimals below a second."""
    return spread(
        seconds, "{:,.2f}" if seconds.expected < 1 else "{:,.1f}" if seconds.expected < 100 else "{:,.0f}"
    )


def _batches(way: WayTime) -> str:
    sizes = sorted({stage.batch for stage in way.stages})
    return str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def _rates(of: Latency | WayTime) -> Sequence[str]:
    return [_rate(of.rate(away=away)) for away in (False, True)]


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return UNKNOWN
    return spread(rate.a_day, "{:,.0f}")
