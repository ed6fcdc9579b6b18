"""What a runtime can use of a card's memory: measured, derived from a driver's figure, or an interval as wide
as what is not known. A verdict counts on the low end."""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from ullage.facts.data_file import read_data
from ullage.facts.gpu import Basis
from ullage.units import GIB, MIB, Interval, gib

KEPT: Final = (0.32, 0.0028)
"""GiB that nvidia-smi's total typically exceeds torch's by, and what it grows by with each GiB of the card:
0.3 to 0.4 at 8 to 24 GiB, 0.6 at 140 (data/usable.json)."""
KEPT_AT_MOST: Final = (0.38, 0.0086)
"""The same at most, above every card of which both are known: 0.37 of 4 GiB, 0.43 of 8, 0.86 of 80."""
SMALL: Final = 0.104
"""The most of it that is kept of a card below 4 GiB, which is the smallest of which both are known."""
SEEN_AT_LEAST: Final = 0.93
"""The share of a card's stated GiB that its driver shows at least: 0.93 (B300) to 1; memory that corrects
errors takes a sixteenth of GDDR's."""
METAL: Final = (2 / 3, 3 / 4)
"""Shares of memory that Metal recommends a process to stay in: 10.67 of 16 GiB (M1 Pro), 16 of 24 (M2), 11.84
of 16 (M4), in llama.cpp's logs (`recommendedMaxWorkingSetSize`)."""


class Usable(NamedTuple):
    """Bytes, how they are known, and where they are from."""

    bytes: Interval
    basis: Basis
    source: str


@cache
def _measured() -> dict[str, tuple[list[float], str]]:
    tables = read_data("usable.json")["tables"]
    return {id_: (ends, each["source"]) for each in tables for id_, ends in each["usable"].items()}


def measured(id_: str) -> Usable | None:
    """What torch reported on such cards, lowest to highest; None where nobody said it."""
    found = _measured().get(id_)
    if found is None:
        return None
    (low, high), source = found
    return Usable(_between(int(low * GIB), int(high * GIB)), "measured", source)


def of_driver(total: int, what: str = "the driver's") -> Usable:
    """Of the `total` bytes that a driver shows, less what it keeps on cards of which both are known."""
    size = total / GIB
    typical, most = (min(kept + rate * size, SMALL * size) for kept, rate in (KEPT, KEPT_AT_MOST))
    found = Interval(total - int(most * GIB), total - int(typical * GIB), total)
    return Usable(found, "derived", f"{what} {total / MIB:,.0f} MiB less what drivers keep")


def of_stated_size(size: int) -> Usable:
    """Of a size in bytes that only the maker states: what its driver shows is not known either."""
    low = of_driver(int(size * SEEN_AT_LEAST)).bytes.low
    found = Interval(low, of_driver(size).bytes.expected, size)
    return Usable(found, "assumed", f"the maker's {gib(size)}; no driver's figure is known")


def of_unified(memory: int) -> Usable:
    """Of a Mac's memory in bytes, which its processor shares."""
    low, high = (int(memory * share) for share in METAL)
    return Usable(_between(low, high), "derived", f"2/3 to 3/4 of {gib(memory)}, as Metal recommends")


def _between(low: int, high: int) -> Interval:
    return Interval(low, (low + high) // 2, high)
