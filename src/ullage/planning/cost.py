"""Dollars, at a price that carries its date."""

from __future__ import annotations

from ullage.facts.gpu import GpuSet
from ullage.facts.price import price_of
from ullage.planning.plan import Cost, PhaseTime


def cost_of(gpus: GpuSet, times: tuple[PhaseTime, ...], examples: int) -> Cost | None:
    """Per hour and per 1000 examples at the cheapest dated offers; None without one."""
    price = price_of(gpus)
    if price is None:
        return None
    per_1000 = price.usd_per_hour * seconds_per_1000(times, examples) / 3600
    return Cost(price.usd_per_hour, per_1000, price.provider, price.as_of, price.source)


def seconds_per_1000(times: tuple[PhaseTime, ...], examples: int) -> float:
    """Seconds for 1000 examples; what is paid once is shared out over `examples`."""
    return sum(time.total_seconds for time in times) * 1000 / max(examples, 1)
