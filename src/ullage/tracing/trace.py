"""What a traced pass made, and its fullest moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from ullage.tracing.storages import Event, Made


@dataclass(frozen=True, slots=True)
class Peak:
    """The fullest moment: its bytes, the stage it is in, and by the stage in which they came the bytes of all
    but the results, which are still there at the end. `alive` are the numbers of all storages."""

    bytes: int
    stage: str
    by_stage: Mapping[str, int]
    alive: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A pass through a model, from the moment at which its weights are there: every storage that came and
    went, in their order, and what each was made for.

    `stages` are those of the phase that was asked for: what comes before them only leads there. `results` are
    the storages, by number with their bytes, that are there when it is over. `weights` are the bytes of the
    model's own storages, in the order of its parameters and buffers, which are in no event; `parameters` is
    how many elements its parameters have; `loaded` tells of each of the weights. `paths` are those of its
    layers, `embedding` that of its table of tokens.
    """

    events: tuple[Event, ...]
    made: Mapping[int, Made]
    stages: tuple[str, ...]
    results: Mapping[int, int]
    weights: tuple[int, ...]
    parameters: int
    loaded: tuple[Made, ...] = ()
    paths: tuple[str, ...] = ()
    embedding: str = ""

    def without_weights(self) -> Self:
        """What came and went alone."""
        return replace(self, weights=(), loaded=())

    def peak(self) -> Peak:
        """The fullest moment of the phase that was asked for, on top of the weights."""
        return peak_of(self.events, self.results, self.stages)

    def components(self) -> dict[str, int]:
        """By component the bytes of the fullest moment."""
        sizes = {event.storage: event.bytes for event in self.events if event.bytes > 0}
        found: dict[str, int] = {}
        for number in self.peak().alive:
            component = "captures" if number in self.results else self.made[number].component
            found[component] = found.get(component, 0) + sizes[number]
        return found


def peak_of(events: Sequence[Event], results: Collection[int], stages: Collection[str] = ()) -> Peak:
    """The peak of what came in `events`, within `stages` if any are named; what had come before counts for
    nothing. `results` are numbers of storages."""
    alive: dict[int, Event] = {}
    live = most = at = 0
    for place, event in enumerate(events, start=1):
        if event.bytes < 0 and event.storage not in alive:
            continue
        live += event.bytes
        if event.bytes > 0:
            alive[event.storage] = event
        else:
            del alive[event.storage]
        if live > most and (not stages or event.stage in stages):
            most, at = live, place
    alive = {}
    for event in events[:at]:
        if event.bytes > 0:
            alive[event.storage] = event
        else:
            alive.pop(event.storage, None)
    by_stage: dict[str, int] = {}
    for event in alive.values():
        if event.storage not in results:
            by_stage[event.stage] = by_stage.get(event.stage, 0) + event.bytes
    return Peak(most, events[at - 1].stage if at else "", by_stage, tuple(alive))
