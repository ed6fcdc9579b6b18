"""How long a request takes, stage by stage, and how many are answered in a minute and a day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ullage.spec.value import Count
from ullage.units import NO_TIME, Estimate

MINUTE: Final = 60
DAY: Final = 86_400
"""Seconds."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """Seconds of a stage of one request by itself; None where those of a part of it are not known, and
    `known` is what is.

    `at_first`: the same the first time of all, when whom it brings is still on disk. `away`: only where
    `role` was not there. `batch` is how many requests share a pass as planned, `share` the seconds each takes
    of it. The stage may be done `again` so many times more, where its role calls tools: in no total.
    """

    name: str
    role: str
    seconds: Estimate | None
    known: Estimate
    at_first: Estimate | None
    away: bool
    batch: Count
    share: Estimate | None
    again: int = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests answered one batch after another, day and night, if each takes `seconds`."""

    seconds: Estimate

    @property
    def a_minute(self) -> Estimate:
        return self._in(MINUTE)

    @property
    def a_day(self) -> Estimate:
        return self._in(DAY)

    def _in(self, time: int) -> Estimate:
        low, expected, high = self.seconds
        return Estimate(time / high, time / expected, time / low)


@dataclass(frozen=True, slots=True)
class WayTime:
    """What a request takes that goes one way, which is called after who answers it. Seconds are those of a
    request by itself, and None where a stage's are."""

    name: str
    stages: tuple[StageTime, ...]

    @property
    def there(self) -> Estimate | None:
        """Where all whom it needs are there."""
        return total_of(stage.seconds for stage in self.stages if not stage.away)

    @property
    def away(self) -> Estimate | None:
        """Where those who take turns have to be brought from where they wait."""
        return total_of(stage.seconds for stage in self.stages)

    @property
    def at_first(self) -> Estimate | None:
        """The first time of all, when they come from disk."""
        return total_of(stage.at_first for stage in self.stages)

    def known(self, *, away: bool) -> Estimate:
        """What is known of `away`, or of `there`."""
        return sum((stage.known for stage in self.stages if away or not stage.away), NO_TIME)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The stages of unknown time, each with its role."""
        return tuple(f"{stage.name} ({stage.role})" for stage in self.stages if stage.seconds is None)

    def share(self, *, away: bool) -> Estimate | None:
        """Seconds of all the cards that a request takes at the planned batches."""
        return total_of(stage.share for stage in self.stages if away or not stage.away)

    def rate(self, *, away: bool) -> Rate | None:
        """Of requests that all go this way; `away`: each finds that whom it needs is not there."""
        return _rate(self.share(away=away))


@dataclass(frozen=True, slots=True)
class Latency:
    """What requests take that go each of the `ways`."""

    ways: tuple[WayTime, ...]

    def rate(self, *, away: bool) -> Rate | None:
        """Of requests that go all ways equally often, each finding that whom it needs is there, or not."""
        whole = total_of(way.share(away=away) for way in self.ways)
        return _rate(None if whole is None else whole * (1 / len(self.ways)))


def total_of(seconds: Iterable[Estimate | None]) -> Estimate | None:
    """None where one of them is; the ends are added, for what makes one stage slow makes all of them so."""
    whole = NO_TIME
    for each in seconds:
        if each is None:
            return None
        whole += each
    return whole


def _rate(seconds: Estimate | None) -> Rate | None:
    return Rate(seconds) if seconds is not None and seconds.low > 0 else None
