"""What each role of a plan takes, place by place, as its bill says: what a residency pool counts by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ullage.phases.phase import Phase
from ullage.planning.plan import Plan
from ullage.runtime.role_weights import HOST

DISK: Final = "disk"


@dataclass(frozen=True, slots=True)
class Taken:
    """Bytes of one role: `sizes` of its weights by place while they are on devices, `load_peaks` of all that
    it has there while it is loaded, `parked` in host memory; 0: the plan never has it wait there."""

    sizes: Mapping[str, int]
    load_peaks: Mapping[str, int]
    parked: int


@dataclass(frozen=True, slots=True)
class Billed:
    """A plan's bytes: those of its roles, and of each phase what is no role's weights; all at their high
    values. What is in the `budgets` by place, `host` memory apart, is what may be taken at all.

    Where there is no GPU, weights that wait lie on the device itself; they count in host memory's budget
    here, and not in the device's.
    """

    roles: Mapping[str, Taken]
    beside: Mapping[str, Mapping[str, int]]
    budgets: Mapping[str, int]
    host: int


def billed(plan: Plan) -> Billed:
    """What `plan` bills, as a pool counts it. A plan that does not fit is given what it needs."""
    sizes, parked = _weights(plan)
    own = _by_role(plan)
    loads = {phase.running: phase for phase in reversed(plan.phases) if phase.activity == "load"}
    roles = {name: Taken(sizes[name], own.get((name, loads[name].name), {}), parked[name]) for name in loads}
    totals = {
        place: {phase: levels.device.high for phase, levels in found.items()}
        for place, found in plan.bill.totals.items()
        if place != DISK
    }
    waiting = {phase.name: _waiting(phase, parked) for phase in plan.phases}
    beside: dict[str, dict[str, int]] = {}
    for phase in plan.phases:
        taken = {place: found.get(phase.name, 0) for place, found in totals.items()}
        here = [
            sizes[name] for name in phase.on_device() if phase.activity != "load" or name != phase.running
        ]
        if phase.activity == "load":
            here.append(own.get((phase.running, phase.name), {}))
        for each in here:
            for place, size in each.items():
                taken[place] -= size
        home = HOST if HOST in totals else next(iter(totals), HOST)
        if home in taken:
            taken[home] -= waiting[phase.name]
        beside[phase.name] = {place: max(size, 0) for place, size in taken.items()}
    usable = {device.name: device.usable or 0 for device in plan.devices if device.name != DISK}
    most = {place: max(found.values(), default=0) for place, found in totals.items()}
    budgets = {place: max(usable.get(place, 0), most.get(place, 0)) for place in {**usable, **most}}
    # Who waits and what is beside change one after the other: one phase's may stand with the next's.
    ends = max(waiting.values(), default=0) + max((each.get(HOST, 0) for each in beside.values()), default=0)
    host = max(budgets.pop(HOST, 0), ends)
    return Billed(roles, beside, budgets, host)


def _weights(plan: Plan) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Each role's weights by place where they are on devices, and their bytes where they wait."""
    where = {(phase.name, each.name): each.where for phase in plan.phases for each in phase.resident}
    found: dict[tuple[str, str], dict[str, int]] = {}
    for item in plan.bill.items:
        if item.component == "weights" and item.device != DISK and item.role:
            places = found.setdefault((item.phase, item.role), {})
            places[item.device] = places.get(item.device, 0) + item.bytes.high
    sizes: dict[str, dict[str, int]] = {name: {} for name in plan.roles}
    parked = dict.fromkeys(plan.roles, 0)
    for (phase, role), places in found.items():
        if where.get((phase, role)) == "device":
            sizes[role] = {place: max(size, sizes[role].get(place, 0)) for place, size in places.items()}
        elif where.get((phase, role)) == "host":
            parked[role] = max(parked[role], sum(places.values()))
    return sizes, parked


def _by_role(plan: Plan) -> dict[tuple[str, str], dict[str, int]]:
    """All that a role has in a phase, by place."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for item in plan.bill.items:
        if item.device != DISK and item.role:
            places = found.setdefault((item.role, item.phase), {})
            places[item.device] = places.get(item.device, 0) + item.bytes.high
    return found


def _waiting(phase: Phase, parked: Mapping[str, int]) -> int:
    return sum(parked[each.name] for each in phase.resident if each.where == "host")
