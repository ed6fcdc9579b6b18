"""How much host memory there is: what the file says, or the machine, and no more."""

from __future__ import annotations

from typing import Final, NamedTuple

from ullage.facts.gpu import GpuSet
from ullage.facts.price import Prices
from ullage.units import GIB

SPARE: Final = 16 * GIB
"""Host memory for captured states where nobody says how much there is: assumed of any machine with a card.
Weights wait in what is stated alone, or where the file has them wait already."""


class Host(NamedTuple):
    """`stated` bytes are there by the file, or by this machine; None where neither says. `taken` are those of
    the plan as it is on its `own` cards. What comes with other cards is in their price list."""

    stated: int | None
    taken: int
    own: GpuSet
    prices: Prices

    def weights(self, gpus: GpuSet) -> int:
        """Bytes in which weights may wait beside these cards."""
        if self.stated is not None:
            return self.stated
        price = None if gpus == self.own else self.prices.of(gpus)
        return self.taken if price is None or price.host_bytes is None else price.host_bytes

    def room(self, gpus: GpuSet) -> int:
        """Bytes for all that lies there."""
        if self.stated is not None:
            return self.stated
        return max(self.weights(gpus), self.taken + SPARE if gpus == self.own else SPARE)

    def usd_per_hour(self, gpus: GpuSet, size: int) -> float | None:
        """Dollars for `size` bytes beside the cards: none where they come with these; None where no list says
        what they cost."""
        price = self.prices.of(gpus)
        comes = price is not None and price.host_bytes is not None and size <= price.host_bytes
        return 0.0 if comes or not size else None
