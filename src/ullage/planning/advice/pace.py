"""How long a setting takes on other cards, reckoned from those on which it was tried."""

from __future__ import annotations

import math
from functools import cache
from typing import Final, NamedTuple

from ullage.facts.gpu import GpuSet
from ullage.planning.advice.step import VLLM, Step
from ullage.planning.advice.trials import Candidate, Trials

APART: Final = 1.5
"""How much faster one set must be than another, for both to tell which part of a time no card changes."""


class Pace(NamedTuple):
    """Seconds of a byte that is read, of an operation, and of a byte from host memory; infinite where not
    known."""

    read: float
    computed: float
    brought: float

    @property
    def mean(self) -> float:
        """Of reading and computing alike: between them lies what most work takes."""
        return math.sqrt(self.read * self.computed)

    def share_of(self, other: Pace) -> float:
        """Of the time that work takes at the other pace, what it takes at least: as if it did nothing but
        that in which this is ahead."""
        return min(mine / its if its else 0.0 for mine, its in zip(self, other, strict=True))


@cache
def pace_of(gpus: GpuSet, together: bool) -> Pace:
    """Of cards that work together, or in turn."""
    bandwidths = [gpu.bandwidth or 0.0 for gpu in gpus.gpus]
    operations = [gpu.operations.per_second if gpu.operations else 0.0 for gpu in gpus.gpus]
    read, computed = (1 / sum(rates) if all(rates) else math.inf for rates in (bandwidths, operations))
    cards = 1 if together else len(gpus.gpus)
    buses = [gpu.pcie for gpu in gpus.gpus if gpu.pcie]
    return Pace(read * cards, computed * cards, 1 / max(buses) if buses else math.inf)


class Reckoning:
    """What settings take elsewhere. Of a setting nobody tried, roles are `split` over all cards or not."""

    def __init__(self, trials: Trials, split: bool) -> None:
        self._trials, self.split = trials, split
        self._fixed: dict[tuple[tuple[Step, ...], int], float] = {}

    def likely(self, one: Candidate | None, gpus: GpuSet) -> float:
        """Seconds of a setting on other cards; of none what orders them alike."""
        together = self._together(one)
        there = _mean(gpus, together)
        if one is None:
            return there
        here = _mean(one.gpus, together)
        if not 0 < here < math.inf:
            return there
        fixed = self._fixed_of(one)
        return fixed + (one.seconds - fixed) * there / here

    def least(self, one: Candidate, gpus: GpuSet, larger: float) -> float:
        """The same at least, with batches as they are; what no card changes less in batches that can be so
        many times `larger`."""
        together = self._together(one)
        shares = [pace_of(gpus, split).share_of(pace_of(one.gpus, split)) for split in (True, False)]
        fixed = self._fixed_of(one)
        return fixed / larger + (one.seconds - fixed) * (together * shares[0] + (1 - together) * shares[1])

    def _together(self, one: Candidate | None) -> float:
        """The share of its time in which all cards work together: that of roles by vLLM."""
        if one is None:
            return float(self.split)
        roles = self._trials.changed(one.steps).roles
        return sum(share for role, share in one.outcome.shares if roles[role].engine == VLLM)

    def _fixed_of(self, one: Candidate) -> float:
        """Seconds that no card changes: what is left where the slowest and the fastest of the sets on which
        the same setting was tried differ by nothing but their pace."""
        alike = self._trials.best.alike(one.steps)
        key = one.steps, len(alike)
        if key not in self._fixed:
            comparable = [each for each in alike if each.open == one.open]
            self._fixed[key] = min(_fixed(comparable, self._together(one)), one.seconds)
        return self._fixed[key]


def _mean(gpus: GpuSet, together: float) -> float:
    if together in (0.0, 1.0):
        return pace_of(gpus, bool(together)).mean
    return together * pace_of(gpus, True).mean + (1 - together) * pace_of(gpus, False).mean


def _fixed(alike: list[Candidate], together: float) -> float:
    paces = [(_mean(each.gpus, together), each.seconds) for each in alike]
    known = sorted(pair for pair in paces if 0 < pair[0] < math.inf)
    if not known or known[-1][0] < known[0][0] * APART:
        return 0.0
    (quick, few), (slow, many) = known[0], known[-1]
    return max(few - quick * max(many - few, 0.0) / (slow - quick), 0.0)
