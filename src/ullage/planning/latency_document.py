"""What requests take, as the part of a plan's document."""

from __future__ import annotations

from ullage.planning.latency import Latency, StageTime, WayTime
from ullage.units import Estimate

Ends = dict[str, float]


def latency_document(latency: Latency) -> dict[str, object]:
    """Each way with its stages; what follows from these stands beside them."""
    return {"ways": [_way(way) for way in latency.ways], **_rates(latency)}


def _way(way: WayTime) -> dict[str, object]:
    seconds = {"there": way.there, "away": way.away, "at_first": way.at_first}
    known = {"there": way.known(away=False), "away": way.known(away=True)}
    return {
        "name": way.name,
        "stages": [_stage(stage) for stage in way.stages],
        "seconds": {name: _ends(each) for name, each in seconds.items()},
        "known_seconds": {name: _ends(each) for name, each in known.items()},
        **_rates(way),
    }


def _stage(stage: StageTime) -> dict[str, object]:
    return {
        "name": stage.name,
        "role": stage.role,
        "seconds": _ends(stage.seconds),
        "known": _ends(stage.known),
        "at_first": _ends(stage.at_first),
        "away": stage.away,
        "batch": stage.batch,
        "share": _ends(stage.share),
        "again": stage.again,
    }


def _rates(of: Latency | WayTime) -> dict[str, object]:
    """Requests in a minute and in a day at the planned batches."""
    rates = {"there": of.rate(away=False), "away": of.rate(away=True)}
    return {
        "a_minute": {name: None if rate is None else _ends(rate.a_minute) for name, rate in rates.items()},
        "a_day": {name: None if rate is None else _ends(rate.a_day) for name, rate in rates.items()},
    }


def _ends(value: Estimate | None) -> Ends | None:
    return None if value is None else value._asdict()
