"""Puts a plan together: place, bill, decide, time, price."""

from __future__ import annotations

from collections.abc import Mapping

from ullage.facts.architecture import Model
from ullage.facts.gpu import GpuSet
from ullage.memory.demand import Demand
from ullage.planning.bill import Totals
from ullage.planning.billing import device_map, make_bill
from ullage.planning.cost import cost_of
from ullage.planning.device import Device, devices_of, limits_of
from ullage.planning.engine_share import served_decisions
from ullage.planning.placement import ON_DISK, ON_HOST, Placement, place
from ullage.planning.plan import Decision, DevicePlan, Plan
from ullage.planning.throughput import phase_times
from ullage.planning.verdict import verdict_of, worst
from ullage.spec.workload import Workload
from ullage.units import gib, peak


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
        placement={shape.name: device_map(shape.name, demand, placement, devices) for shape in demand.roles},
        bill=bill,
        devices=planned,
        verdict=worst(device.verdict for device in planned),
        decisions=_decisions(demand, placement, devices)
        + served_decisions(demand, models, bill, devices, gpus),
        times=times,
        cost=cost_of(gpus, times, workload.examples),
        notes=_notes(workload, devices),
    )


def device_plans(
    totals: Mapping[str, Mapping[str, Totals]], devices: tuple[Device, ...], workload: Workload
) -> tuple[DevicePlan, ...]:
    """Each GPU against its budget; host memory and disk where something lies there."""
    ids = {device.name: device.gpu.id for device in devices}
    limits = limits_of(devices, workload.budget)
    return tuple(
        _device_plan(name, ids.get(name, name), *limits[name], totals.get(name, {}))
        for name in limits
        if name in ids or name in totals
    )


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


def _decisions(demand: Demand, placement: Placement, devices: tuple[Device, ...]) -> tuple[Decision, ...]:
    found = []
    for note in demand.notes:
        role, _, rest = note.partition(": ")
        choice, _, reason = rest.partition(": ")
        found.append(Decision(f"{role} precision", choice, reason))
    for role, assigned in placement.items():
        names = {ON_HOST: "cpu", ON_DISK: "disk"}
        where = ", ".join(names.get(i) or devices[i].name for i in assigned.devices)
        found.append(Decision(f"{role} placement", where, assigned.reason))
    return tuple(found)


def _notes(workload: Workload, devices: tuple[Device, ...]) -> tuple[str, ...]:
    reserve = devices[0].usable - devices[0].budget if devices else 0
    free = f"{workload.budget.reserve} ({gib(reserve)} on {devices[0].name})"
    notes = [f"{free} of each device is kept free as reserve"]
    if workload.kind == "evaluate" and workload.schedule == "auto":
        notes.append("schedule auto: planned as sequential, one model in memory at a time")
    return tuple(notes)
