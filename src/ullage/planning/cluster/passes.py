"""How many passes a partition's records take: batches never cross a partition."""

from __future__ import annotations

from math import ceil, erfc, expm1, floor, sqrt
from typing import Final, NamedTuple

from ullage.phases.phase import whole_passes
from ullage.units import Estimate

_SIGMAS: Final = 6.0
"""Further than so many standard deviations from its mean a number of sequences is taken never to be."""


class Passes(NamedTuple):
    """Passes of one phase: of each record `sequences` are read, `batch` of them together in `seconds`. Where
    `sequences` is no whole number, only some records have one (a tenth is explained)."""

    sequences: float
    batch: int
    seconds: Estimate

    @property
    def seconds_of_a_record(self) -> Estimate:
        """Where every batch is full."""
        return self.seconds * (self.sequences / self.batch)

    @property
    def certain(self) -> bool:
        """Whether each record has the same number of sequences."""
        return abs(self.sequences - round(self.sequences)) < 1e-6

    def of(self, records: int) -> float:
        """Passes of a partition: as many as a run of so many `records` has, the last of them as long as any;
        in the mean, where only some records have a sequence."""
        if self.certain:
            return whole_passes(self.sequences / self.batch, records)
        return _expected_passes(self.sequences * records, self.batch)


def _expected_passes(mean: float, batch: int) -> float:
    """Batches that a Poisson number of sequences fills, the last one in part: the sum over k of the chance
    that there are more than k batches hold.

    Where that number spreads over a batch, the last one is anywhere between one sequence and full. Else the
    chances are those of a normal distribution, that of no sequence exact: within 2 % of a batch of 8 or more,
    5 % of one of 2.
    """
    spread = sqrt(mean)
    if batch == 1 or spread > batch:
        return mean / batch + (batch - 1) / (2 * batch)
    sure = max(floor((mean - _SIGMAS * spread) / batch), 0)
    most = ceil((mean + _SIGMAS * spread) / batch)
    more = (erfc((k * batch + 0.5 - mean) / spread / sqrt(2)) / 2 for k in range(max(sure, 1), most + 1))
    return max(sure, -expm1(-mean)) + sum(more)
