"""Whether the parts of a plan that was read back belong together: what one part says, another can deny."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, get_args

from ullage.facts.architecture import Model
from ullage.memory.estimate import part_of
from ullage.planning.device import devices_of, limits_of
from ullage.planning.plan import Plan
from ullage.planning.role_plan import LoadedPart, RolePlan
from ullage.planning.verdict import verdict_of, worst
from ullage.spec.role import AttentionKernel
from ullage.spec.rope import model_of
from ullage.units import Interval

COMPUTED_IN: Final = ("fp32", "fp16", "bf16")
SPREAD: Final = "+"
"""Between the devices that share each of a role's blocks."""


def check_coherent(plan: Plan) -> None:
    """Raises ValueError with what does not belong together, and for sizes and counts that cannot be."""
    _check_devices(plan)
    _check_phases(plan)
    for name, role in plan.roles.items():
        _check_role(plan, name, role, model_of(plan.workload.roles[name], plan.models))


def _check_devices(plan: Plan) -> None:
    """Cards, what may be used of them, and what that makes of the peaks."""
    _expect(plan.gpus.gpus, "there are no cards")
    limits = limits_of(devices_of(plan.gpus, plan.workload.budget), plan.workload.budget)
    for device in plan.devices:
        _expect(device.name in limits, f"{device.name} is none of the cards")
        _expect(limits[device.name] == (device.usable, device.budget), f"{device.name} has other limits")
        found = verdict_of(device.peak.device.high, device.usable, device.budget)
        _expect(device.verdict == found, f"{device.name}: the verdict would be {found!r}")
    named = [device.name for device in plan.devices]
    _expect(len(named) == len(set(named)), "a device stands there twice")
    lacking = set(plan.gpus.device_names) - set(named)
    _expect(not lacking, f"devices: {', '.join(sorted(lacking))} is missing")
    _expect(plan.verdict == worst(device.verdict for device in plan.devices), "verdict is not the devices'")


def _check_phases(plan: Plan) -> None:
    """Who is there and what is billed, by phase."""
    for phase in plan.phases:
        residents = {resident.name for resident in phase.resident}
        _expect(phase.running in residents, f"{phase.name}: {phase.running!r} runs without being there")
        work = phase.work
        counts = (work.prompt_tokens, work.new_tokens, work.cached_tokens, work.chunk_tokens or 0)
        _expect(work.batch > 0 and min(counts) >= 0, f"{phase.name}: a number of its work cannot be")
    held = {phase.name for phase in plan.phases if any(each.name in plan.roles for each in phase.resident)}
    billed = {name for phases in plan.bill.totals.values() for name in phases}
    _expect(held == billed, "the phases that are billed are others than those that are laid out")
    sums = [
        getattr(found, level)
        for by in plan.bill.totals.values()
        for found in by.values()
        for level in found._fields
    ]
    _expect(_not_negative([item.bytes for item in plan.bill.items] + sums), "bytes are negative")
    devices = {device.name for device in plan.devices}
    for item in plan.bill.items:
        _expect(item.phase in billed and item.device in devices, "an item is of no phase or device there is")


def _check_role(plan: Plan, name: str, role: RolePlan, model: Model) -> None:
    """What was decided for a role against the model and the devices."""
    _expect(role.precision.compute in COMPUTED_IN, f"{name} computes in {role.precision.compute!r}")
    _expect(role.kernel.name in get_args(AttentionKernel), f"{name}: there is no kernel {role.kernel.name!r}")
    part = part_of(name, plan.phases, model)
    layers = None if part is model else getattr(part, "layers", None)
    found = LoadedPart() if layers is None else LoadedPart(len(layers), bool(getattr(part, "head", True)))
    _expect((role.part.layers, role.part.head) == (found.layers, found.head), f"{name}: part is another")
    places = {*plan.gpus.device_names, "cpu", "disk"}
    _expect(role.placement.device_map, f"{name} is placed nowhere")
    for block, where in role.placement.device_map.items():
        _expect(places.issuperset(where.split(SPREAD)), f"{name}: {block} is on {where!r}")


def _not_negative(sizes: Iterable[Interval]) -> bool:
    return all(size.low >= 0 for size in sizes)


def _expect(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
