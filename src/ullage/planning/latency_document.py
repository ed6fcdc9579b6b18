"""What requests take, as the part of a plan's document."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.planning.latency import Latency, StageTime, WayTime
from ullage.units import Estimate


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests in a minute or a day at the planned batches: where all whom they need are there, or not."""

    there: Estimate | None
    away: Estimate | None


@dataclass(frozen=True, slots=True)
class WaySeconds:
    """Of one request by itself; None where a stage's are not known."""

    there: Estimate | None
    away: Estimate | None
    at_first: Estimate | None


@dataclass(frozen=True, slots=True)
class KnownSeconds:
    """Of the stages whose seconds are known."""

    there: Estimate
    away: Estimate


@dataclass(frozen=True, slots=True)
class WayDocument:
    """A way with its stages; what follows from these stands beside them."""

    name: str
    stages: tuple[StageTime, ...]
    seconds: WaySeconds
    known_seconds: KnownSeconds
    a_minute: Rates
    a_day: Rates


@dataclass(frozen=True, slots=True)
class LatencyDocument:
    """Each way, and the rates of requests that go all of them equally often."""

    ways: tuple[WayDocument, ...]
    a_minute: Rates
    a_day: Rates

    def latency(self) -> Latency:
        """What it was made of."""
        return Latency(tuple(WayTime(way.name, way.stages) for way in self.ways))


def latency_document(latency: Latency) -> LatencyDocument:
    return LatencyDocument(tuple(map(_way, latency.ways)), *_rates(latency))


def _way(way: WayTime) -> WayDocument:
    seconds = WaySeconds(way.there, way.away, way.at_first)
    known = KnownSeconds(way.known(away=False), way.known(away=True))
    return WayDocument(way.name, way.stages, seconds, known, *_rates(way))


def _rates(of: Latency | WayTime) -> tuple[Rates, Rates]:
    there, away = of.rate(away=False), of.rate(away=True)
    a_minute = Rates(None if there is None else there.a_minute, None if away is None else away.a_minute)
    a_day = Rates(None if there is None else there.a_day, None if away is None else away.a_day)
    return a_minute, a_day
