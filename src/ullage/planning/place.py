"""Where a block of a role is: on a device that computes, in host memory, or on disk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final, NamedTuple


class OnDevice(NamedTuple):
    """Device `number` of the plan: a GPU, or the processor of a set without one.

    A tuple, because thousands of blocks are compared and counted by it.
    """

    number: int


class Off(Enum):
    """Off the devices that compute, by the name accelerate's maps and `max_memory` give it."""

    HOST = "cpu"
    DISK = "disk"


Place = OnDevice | Off
OFFLOAD: Final = frozenset(each.value for each in Off)
"""Keys of max_memory that let blocks wait off the devices that compute."""


@dataclass(frozen=True)
class Assigned:
    """The place of each of a role's blocks.

    With `ranks`, tensor parallelism: each of those devices holds a share of every block, and
    `blocks` is empty. `reason` says why.
    """

    blocks: tuple[Place, ...]
    ranks: tuple[OnDevice, ...] = ()
    reason: str = ""

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Each place once, in the order of the blocks."""
        return self.ranks or tuple(dict.fromkeys(self.blocks))

    @cached_property
    def devices(self) -> tuple[OnDevice, ...]:
        """The devices among them, those that compute."""
        return tuple(place for place in self.places if isinstance(place, OnDevice))

    @property
    def first(self) -> OnDevice:
        """The device that computes what is offloaded, and keeps its caches."""
        return self.devices[0]
