"""Dollars, at a price that carries its date."""

from __future__ import annotations

from ullage.facts.gpu import GpuSet
from ullage.facts.price import price_of
from ullage.planning.plan import Cost
from ullage.units import Estimate


def cost_of(gpus: GpuSet, seconds: Estimate | None) -> Cost | None:
    """Per hour, and per 1000 examples where these take `seconds`, at the cheapest dated offers; None without
    one."""
    price = price_of(gpus)
    if price is None:
        return None
    per_1000 = None if seconds is None else seconds * (price.usd_per_hour / 3600)
    return Cost(price.usd_per_hour, per_1000, price.provider, price.as_of, price.source)


def usd_per_1000(gpus: GpuSet, seconds: float | None) -> float | None:
    """Dollars for 1000 examples that take `seconds`; None without a price."""
    price = price_of(gpus)
    return None if price is None or seconds is None else seconds * (price.usd_per_hour / 3600)


def per_1000(examples: int) -> float:
    """1000 examples as a share of a whole workload, which shares out what is paid once."""
    return 1000 / max(examples, 1)
