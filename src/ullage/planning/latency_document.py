"""What requests take, as the part of a plan's document."""

from __future__ import annotations

from dataclasses import asdict

from ullage.planning.latency import Latency, WayTime


def latency_document(latency: Latency) -> dict[str, object]:
    """Each way with its stages; what follows from these stands beside them."""
    return {"ways": [_way(way) for way in latency.ways], **_rates(latency)}


def _way(way: WayTime) -> dict[str, object]:
    seconds = {"there": way.there, "away": way.away, "at_first": way.at_first}
    known = {"there": way.known(away=False), "away": way.known(away=True)}
    stages = [asdict(stage) for stage in way.stages]
    return {"name": way.name, "stages": stages, "seconds": seconds, "known_seconds": known, **_rates(way)}


def _rates(of: Latency | WayTime) -> dict[str, object]:
    """Requests in a minute and in a day at the planned batches."""
    rates = {"there": of.rate(away=False), "away": of.rate(away=True)}
    return {
        "a_minute": {name: None if rate is None else rate.a_minute for name, rate in rates.items()},
        "a_day": {name: None if rate is None else rate.a_day for name, rate in rates.items()},
    }
