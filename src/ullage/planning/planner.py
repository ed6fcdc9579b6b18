"""Puts a plan together: place, bill, decide, time, price."""

from __future__ import annotations

from collections.abc import Mapping

from ullage.facts.architecture import Model
from ullage.facts.gpu import GpuSet
from ullage.memory.demand import Demand
from ullage.planning.bill import Totals
from ullage.planning.billing import device_map, make_bill
from ullage.planning.cost import cost_of
from ullage.planning.device import DISK, HOST, Device, devices_of
from ullage.planning.placement import Placement, place
from ullage.planning.plan import Decision, DevicePlan, Plan, Verdict
from ullage.planning.throughput import phase_times
from ullage.spec.workload import Workload
from ullage.units import gib, parse_bytes, peak

_ORDER: tuple[Verdict, ...] = ("fits", "tight", "does not fit")


def make_plan(workload: Workload, demand: Demand, models: Mapping[str, Model], gpus: GpuSet) -> Plan:
    """The whole plan but its advice."""
    devices = devices_of(gpus, workload.budget)
    placement = place(demand, devices)
    bill = make_bill(demand, placement, devices)
    planned = device_plans(bill.totals, devices, workload)
    times = phase_times(demand.phases, models, demand, placement, devices, workload.examples)
    return Plan(
        workload=workload.name or workload.kind,
        kind=workload.kind,
        gpus=gpus,
        phases=demand.phases,
        placement={shape.name: device_map(shape.name, demand, placement) for shape in demand.roles},
        bill=bill,
        devices=planned,
        verdict=worst(planned),
        decisions=_decisions(demand, placement),
        times=times,
        cost=cost_of(gpus, times, workload.examples),
        notes=_notes(workload, devices),
    )


def verdict_of(high: int, usable: int | None, budget: int | None) -> Verdict:
    """fits within the budget, tight where it eats into the reserve, else does not fit."""
    if usable is None or budget is None or high <= budget:
        return "fits"
    return "tight" if high <= usable else "does not fit"


def worst(devices: tuple[DevicePlan, ...]) -> Verdict:
    """The verdict of the whole is that of its worst device."""
    return max((device.verdict for device in devices), key=_ORDER.index, default="fits")


def device_plans(
    totals: Mapping[str, Mapping[str, Totals]], devices: tuple[Device, ...], workload: Workload
) -> tuple[DevicePlan, ...]:
    """Each GPU against its budget; host memory and disk where something lies there."""
    found = [_device_plan(d.name, d.gpu.id, d.usable, d.budget, totals.get(d.name, {})) for d in devices]
    limits = {HOST: workload.budget.host_memory, DISK: workload.budget.disk}
    for name, limit in limits.items():
        if name in totals:
            usable = None if limit is None else parse_bytes(limit)
            found.append(_device_plan(name, name, usable, usable, totals[name]))
    return tuple(found)


def _device_plan(
    name: str,
    gpu: str,
    usable: int | None,
    budget: int | None,
    phases: Mapping[str, Totals],
) -> DevicePlan:
    values = list(phases.values())
    highest = Totals(
        peak(total.live for total in values),
        peak(total.reserved for total in values),
        peak(total.process for total in values),
        peak(total.device for total in values),
    )
    at = max(phases, key=lambda phase: phases[phase].device.high, default="")
    verdict = verdict_of(highest.device.high, usable, budget)
    return DevicePlan(name, gpu, usable, budget, highest, at, verdict)


def _decisions(demand: Demand, placement: Placement) -> tuple[Decision, ...]:
    found = []
    for note in demand.notes:
        role, _, rest = note.partition(": ")
        choice, _, reason = rest.partition(": ")
        found.append(Decision(f"{role} precision", choice, reason))
    for role, assigned in placement.items():
        where = ", ".join("cpu" if i < 0 else f"gpu:{i}" for i in assigned.devices)
        found.append(Decision(f"{role} placement", where, assigned.reason))
    return tuple(found)


def _notes(workload: Workload, devices: tuple[Device, ...]) -> tuple[str, ...]:
    reserve = devices[0].usable - devices[0].budget if devices else 0
    notes = [f"{workload.budget.reserve} ({gib(reserve)} on gpu:0) of each GPU is kept free as reserve"]
    if workload.kind == "evaluate" and workload.schedule == "auto":
        notes.append("schedule auto: planned as sequential, one model in memory at a time")
    return tuple(notes)
