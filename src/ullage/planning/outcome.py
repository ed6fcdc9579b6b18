"""The lean way to judge a candidate: totals, no line items."""

from __future__ import annotations

from collections.abc import Mapping

from ullage.facts.architecture import Model
from ullage.facts.gpu import GpuSet
from ullage.memory.demand import Demand
from ullage.planning.advice import Outcome
from ullage.planning.billing import totals
from ullage.planning.cost import cost_of, seconds_per_1000
from ullage.planning.device import devices_of
from ullage.planning.placement import place
from ullage.planning.planner import device_plans, worst
from ullage.planning.throughput import phase_times
from ullage.spec.workload import Workload
from ullage.units import total


def outcome_of(workload: Workload, demand: Demand, models: Mapping[str, Model], gpus: GpuSet) -> Outcome:
    """Verdict, the sum of the devices' own peaks, bytes over budget, time and cost."""
    devices = devices_of(gpus, workload.budget)
    placement = place(demand, devices)
    planned = device_plans(totals(demand, placement, devices), devices, workload)
    cards = [device for device in planned if device.name.startswith("gpu:")]
    over = sum(max(d.peak.device.high - (d.budget or 0), 0) for d in cards)
    times = phase_times(demand.phases, models, demand, placement, devices, workload.examples)
    cost = cost_of(gpus, times, workload.examples)
    return Outcome(
        worst(planned),
        total(device.peak.device for device in cards),
        over,
        seconds_per_1000(times, workload.examples),
        cost.usd_per_1000_examples if cost is not None else None,
    )
