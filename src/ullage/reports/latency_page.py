"""What requests take, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ullage.planning.latency import Latency, Rate, WayTime

UNKNOWN: Final = "unknown"
"""What stands for a time or cost that no source gives."""

LATENCY: Final = "latency: seconds of one request by itself (roofline estimate)"


class Grid(NamedTuple):
    """A table: its title, its columns, its rows, and what is said below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


def latency_grids(latency: Latency) -> tuple[Grid, Grid]:
    """The stages of a request of each way, and how many are answered."""
    names = tuple(dict.fromkeys(stage.name for way in latency.ways for stage in way.stages))
    columns = ("to", *names, "resident", "switched", "first of all")
    stages = tuple((way.name, *(_stage(way, name) for name in names), *_whole(way)) for way in latency.ways)
    missing = dict.fromkeys(each for way in latency.ways for each in way.unknown)
    said = [
        "resident: whom it needs is there; switched: brought from where it waits; first of all: from disk"
    ]
    if missing:
        said.append(f"> is more than what is known: {', '.join(missing)} is not")
    rates = tuple((way.name, _batches(way), *_rates(way)) for way in latency.ways)
    if len(rates) > 1:
        rates = (*rates, ("all equally often", "", *_rates(latency)))
    kinds = [f"{unit}, {state}" for state in ("resident", "switched") for unit in ("a minute", "a day")]
    return (
        Grid(LATENCY, columns, stages, "; ".join(said)),
        Grid("requests, in the plan's batches", ("to", "at once", *kinds), rates),
    )


def _stage(way: WayTime, name: str) -> str:
    own = [stage for stage in way.stages if stage.name == name]
    if any(stage.seconds is None for stage in own):
        return UNKNOWN
    return f"{sum(stage.known for stage in own):,.2f}" if own else ""


def _whole(way: WayTime) -> Iterator[str]:
    """The three totals; of one with an unknown part what is known."""
    for seconds, away in ((way.there, False), (way.away, True)):
        yield f"> {way.known(away=away):,.1f}" if seconds is None else f"{seconds:,.1f}"
    yield UNKNOWN if way.at_first is None else f"{way.at_first:,.1f}"


def _batches(way: WayTime) -> str:
    sizes = sorted({stage.batch for stage in way.stages})
    return str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def _rates(of: Latency | WayTime) -> Sequence[str]:
    return [cell for away in (False, True) for cell in _rate(of.rate(away=away))]


def _rate(rate: Rate | None) -> tuple[str, str]:
    if rate is None:
        return UNKNOWN, UNKNOWN
    return f"{rate.a_minute:,.2f}", f"{rate.a_day:,.0f}"
