"""Dollars, at a price that carries its date."""

from __future__ import annotations

from ullage.facts.gpu import GpuSet
from ullage.facts.price import price_of
from ullage.planning.plan import Cost


def cost_of(gpus: GpuSet, seconds: float | None) -> Cost | None:
    """Per hour, and per 1000 examples where these take `seconds`, at the cheapest dated offers; None without
    one."""
    price = price_of(gpus)
    if price is None:
        return None
    per_1000 = None if seconds is None else price.usd_per_hour * seconds / 3600
    return Cost(price.usd_per_hour, per_1000, price.provider, price.as_of, price.source)


def seconds_per_1000(seconds: float | None, examples: int) -> float | None:
    """Seconds for 1000 examples, of those for all of a workload; what is paid once is shared out over
    `examples`."""
    return None if seconds is None else seconds * 1000 / max(examples, 1)
