"""Where a block of a role is: on a device that computes, in host memory, or on disk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from ullage.memory.needs import RECENT


class OnDevice(NamedTuple):
    """Device `number` of the plan: a GPU, or the processor of a set without one."""

    number: int


class Off(Enum):
    """Off the devices that compute, by the name accelerate's maps and `max_memory` give it."""

    HOST = "cpu"
    DISK = "disk"


Place = OnDevice | Off
OFFLOAD: Final = frozenset(each.value for each in Off)
"""Keys of max_memory that let blocks wait off the devices that compute."""


class Span(NamedTuple):
    """Blocks `start` to `stop`, that one left out, in one place."""

    place: Place
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Assigned:
    """The places of a role's blocks, as spans of neighbours in ascending order.

    With `ranks`, tensor parallelism: each of those devices holds a share of every block, and there are no
    `spans`. `reason` says why. Compared by identity: `assigned` gives one object for equal parts.
    """

    spans: tuple[Span, ...]
    ranks: tuple[OnDevice, ...]
    reason: str

    @property
    def blocks(self) -> tuple[Place, ...]:
        """The place of each block."""
        return tuple(place for place, start, stop in self.spans for _ in range(start, stop))

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Each place once, in the order of the blocks."""
        return self.ranks or tuple(dict.fromkeys(span.place for span in self.spans))

    @cached_property
    def devices(self) -> tuple[OnDevice, ...]:
        """The devices among them, those that compute."""
        return tuple(place for place in self.places if isinstance(place, OnDevice))

    @cached_property
    def holders(self) -> tuple[OnDevice, ...]:
        """The devices, where each of them holds every block."""
        return self.ranks or (self.devices if len(self.spans) == 1 else ())

    @property
    def first(self) -> OnDevice:
        """The device that computes what is offloaded, and keeps its caches."""
        return self.devices[0]

    def count(self, place: Place) -> int:
        """How many blocks are there."""
        return sum(stop - start for held, start, stop in self.spans if held == place)


assigned = lru_cache(maxsize=RECENT)(Assigned)
"""The one `Assigned` of its parts."""


def alone(place: Place, blocks: int) -> tuple[Span, ...]:
    """All blocks in one place."""
    return (Span(place, 0, blocks),)
