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
    seconds = seconds_per_1000(times, examples)
    per_1000 = None if seconds is None else price.usd_per_hour * seconds / 3600
    return Cost(price.usd_per_hour, per_1000, price.provider, price.as_of, price.source)


def seconds_per_1000(times: tuple[PhaseTime, ...], examples: int) -> float | None:
    """Seconds for 1000 examples; what is paid once is shared out over `examples`. None where a phase's
    time is not known."""
    seconds = [time.total_seconds for time in times if time.total_seconds is not None]
    return None if len(seconds) < len(times) else sum(seconds) * 1000 / max(examples, 1)
