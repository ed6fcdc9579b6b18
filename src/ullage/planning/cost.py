"""Dollars, at a price that carries its label and its date."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.facts.gpu import GpuSet
from ullage.facts.price import Prices
from ullage.units import Estimate


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars at the price stated, which carries its label and its date; None for examples whose time is
    not known. `usd` is of the whole workload, `host_bytes` the host memory that comes with the cards, where
    the price list says it; `instead_of`, `other_counts` and `days_behind` are those of a SetPrice."""

    usd_per_hour: float
    usd_per_1000_examples: Estimate | None
    provider: str
    as_of: str
    source: str
    label: str = ""
    usd: Estimate | None = None
    host_bytes: int | None = None
    instead_of: str = ""
    other_counts: tuple[int, ...] = ()
    days_behind: int = 0


def cost_of(gpus: GpuSet, seconds: Estimate | None, examples: int, prices: Prices) -> Cost | None:
    """Per hour, of a whole workload that takes `seconds`, and of 1000 of its `examples`; None where no list
    has a price for the set."""
    price = prices.of(gpus)
    if price is None:
        return None
    usd_per_second = price.usd_per_hour / 3600
    return Cost(
        price.usd_per_hour,
        None if seconds is None else seconds * per_1000(examples) * usd_per_second,
        price.provider,
        price.as_of,
        price.source,
        price.label,
        None if seconds is None else seconds * usd_per_second,
        price.host_bytes,
        price.instead_of,
        price.other_counts,
        price.days_behind,
    )


def usd_per_1000(gpus: GpuSet, seconds: float | None, prices: Prices) -> float | None:
    """Dollars for 1000 examples that take `seconds`; None without a price."""
    price = prices.of(gpus)
    return None if price is None or seconds is None else seconds * (price.usd_per_hour / 3600)


def per_1000(examples: int) -> float:
    """1000 examples as a share of a whole workload, which shares out what is paid once."""
    return 1000 / max(examples, 1)
