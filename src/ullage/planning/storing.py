"""How long it takes to write captured states to disk, which a run does while no card computes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ullage.memory.demand import Demand
from ullage.memory.needs import RECENT
from ullage.units import Estimate

BYTES_PER_SECOND: Final = (1.5e9, 0.5e9, 0.15e9)
"""Copied from a card, joined, hashed and written, on a good day, usually and on a bad one: 537 MB took 1.0 s
beside an H200 (benchmarks/results/gpu-NVIDIA-H200.json) and 268 MB 1.0 s on a machine of two cores; the ends
are assumed."""


@lru_cache(maxsize=RECENT)
def storing(demand: Demand) -> Mapping[int, Estimate]:
    """Seconds of the whole workload, by the place of the phase that stores most of what its role captures:
    writing a reply stores what reading its prompt has captured too."""
    most: dict[str, tuple[int, int]] = {}
    for at, (phase, asked) in enumerate(zip(demand.phases, demand.asked, strict=True)):
        needs = asked.get(phase.running)
        if needs is None or not phase.work.captures:
            continue
        size = sum(
            need.each.expected * len(need.blocks)
            for need in needs.elsewhere
            if need.home == "disk" and need.component == "captures"
        )
        if size > most.get(phase.running, (0, 0))[0]:
            most[phase.running] = size, at
    return {at: Estimate(*(size / rate for rate in BYTES_PER_SECOND)) for size, at in most.values()}


def stored_with(
    seconds: Estimate, whole: Estimate, stored: Estimate | None
) -> tuple[Estimate, Estimate, bool]:
    """Seconds of one pass and of all with what is stored of each, and whether that takes the longer part."""
    if stored is None or not whole.expected:
        return seconds, whole, False
    share = seconds.expected / whole.expected
    return seconds + stored * share, whole + stored, stored.expected > whole.expected
