"""The lean way to judge a candidate: totals, no line items."""

from __future__ import annotations

from ullage.facts.gpu import GpuSet
from ullage.facts.price import Prices, known_prices
from ullage.memory.demand import Demand
from ullage.planning.advice import Outcome
from ullage.planning.billing import device_peaks
from ullage.planning.cost import per_1000, usd_per_1000
from ullage.planning.device import devices_of, limits_of
from ullage.planning.measured_time import NO_TIMES, MeasuredTimes
from ullage.planning.placement import place
from ullage.planning.throughput import total_seconds
from ullage.planning.verdict import verdict_of, worst
from ullage.spec.workload import Workload
from ullage.units import ZERO, total


def outcome_of(
    workload: Workload,
    demand: Demand,
    gpus: GpuSet,
    prices: Prices | None = None,
    measured: MeasuredTimes = NO_TIMES,
) -> Outcome:
    """Verdict, the sum of the devices' own peaks, bytes over budget, time and cost at `prices`; times are
    those of past runs where these `measured` them.

    Raises InputError where an engine is given a share of a card by the file that cannot be.
    """
    devices = devices_of(gpus, workload.budget)
    placement = place(demand, devices)
    if demand.served:
        from ullage.planning.engine_share import shares_of

        shares_of(workload.roles, demand, placement, devices)
    peaks = device_peaks(demand, placement, devices)
    limits = limits_of(devices, workload.budget)
    verdicts = [verdict_of(peak.high, *limits[name]) for name, peak in peaks.items()]
    cards = [(device, peaks.get(device.name, ZERO)) for device in devices]
    over = sum(max(peak.high - device.budget, 0) for device, peak in cards)
    seconds = total_seconds(demand, placement, devices, workload.examples, measured)
    if seconds is not None:
        seconds *= per_1000(workload.examples)
    return Outcome(
        worst(verdicts),
        total(peak for _, peak in cards),
        over,
        seconds,
        usd_per_1000(gpus, seconds, prices or known_prices()),
    )
