"""GPUs as values: what a runtime can use of their memory, how fast they are and what they can do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from ullage.facts.abilities import Abilities, least
from ullage.units import Interval

Basis = Literal["measured", "derived", "assumed", "given"]
"""How usable memory is known: read on such cards, from the driver's figure or the profile of a part, from
the size the maker states alone, or said by the user."""
LANE_GB: Final = {"3.0": 0.985, "4.0": 1.969, "5.0": 3.938, "6.0": 7.563}
"""PCI Express bandwidth of one lane and direction, GB/s, after line coding (PCI-SIG)."""

LANES: Final = 128
FEW_LANES: Final = ((6, 0), (7, 0), (7, 2), (7, 5), (8, 0))
"""fp32 lanes of a multiprocessor, and the capabilities of cards that have half as many."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Dense 16-bit operations per second at the peak, and how that is known: `derived` from a data sheet,
    `assumed` where it states another dtype's or another clock's alone, `given` by the user."""

    per_second: float
    basis: Literal["derived", "assumed", "given"]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card. `usable` is what torch reports as its total memory, in bytes; its low value is what
    a verdict counts on; `usable_source` says where it is from. Bandwidths are bytes per second, one
    direction; what is not known of its speed is None. `nvlink` (of AMD: Infinity Fabric) reaches every other
    card of a machine: None too of a card that a bridge joins to one other, which rented ones seldom have.
    `clocks` are its multiprocessors times their highest clock, a second. `described` is a card by the user's
    own figures, and `usd_per_hour` the price among them.
    """

    id: str
    usable: Interval
    usable_basis: Basis
    bandwidth: float | None
    operations: Rate | None
    abilities: Abilities
    pcie: float | None
    nvlink: float | None = None
    usable_source: str = ""
    described: bool = False
    usd_per_hour: float | None = None
    clocks: float | None = None

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def full_operations(self) -> float:
        """Operations in fp32 a second, outside tensor cores: two a clock of each lane (CUDA C++ programming
        guide, arithmetic instructions); where no clock is known a sixteenth of those in 16 bits, as of an
        A100. 0 where neither is known; of a processor as many as in 16 bits."""
        if self.clocks is not None:
            return 2 * self.clocks * (LANES // 2 if self.abilities.capability in FEW_LANES else LANES)
        known = 0.0 if self.operations is None else self.operations.per_second
        return known if self.abilities.processor else known / 16

    @property
    def unknown(self) -> tuple[str, ...]:
        """What is not known of it, in words. Unified memory and processors need no bus."""
        lacking = {
            "bandwidth": self.bandwidth is None,
            "operations per second": self.operations is None,
            "bus": self.pcie is None and not self.abilities.unified,
            "capability": not self.abilities.known,
        }
        return tuple(name for name, lacks in lacking.items() if lacks)


@dataclass(frozen=True)
class GpuSet:
    """Cards of one machine, in order; `gpu:0` is the first. A search asks the same few by the thousand: what
    follows from the cards is found once."""

    gpus: tuple[Gpu, ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.gpus)

    def __reduce__(self) -> tuple[type[GpuSet], tuple[tuple[Gpu, ...]]]:
        """Of the cards alone: a hash holds in one process."""
        return GpuSet, (self.gpus,)

    @cached_property
    def name(self) -> str:
        """For example `2x A100-SXM4-80GB + 1x L4`."""
        counts: dict[str, int] = {}
        for gpu in self.gpus:
            counts[gpu.id] = counts.get(gpu.id, 0) + 1
        return " + ".join(f"{count}x {id_}" for id_, count in counts.items())

    @cached_property
    def abilities(self) -> Abilities:
        """What the weakest of them can do. Raises InputError for cards of several makers."""
        return least(gpu.abilities for gpu in self.gpus)

    @cached_property
    def usable_bytes(self) -> int:
        """Usable of all its cards, at most."""
        return sum(gpu.usable.high for gpu in self.gpus)

    @cached_property
    def device_names(self) -> tuple[str, ...]:
        """`gpu:0`, `gpu:1`, ...; the one device of a run without GPUs is `cpu`."""
        if self.abilities.platform == "processor":
            return ("cpu",)
        return tuple(f"gpu:{index}" for index in range(len(self.gpus)))


def bus_bandwidth(text: str) -> float | None:
    """Bytes per second of `PCIe 4.0 x16`, one direction; None for what is no such bus."""
    match = re.fullmatch(r"PCIe ([3-6]\.0) x(\d{1,2})", text)
    return None if match is None else LANE_GB[match[1]] * int(match[2]) * 1e9
