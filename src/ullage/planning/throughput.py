"""How long each phase of a plan takes: estimates to choose between plans, not promises."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from ullage.facts.architecture import Architecture, Model
from ullage.memory.demand import Demand
from ullage.memory.forward.window import image_tokens
from ullage.memory.needs import RECENT, Needs
from ullage.memory.running import kernel_of
from ullage.phases.phase import Phase, Work
from ullage.planning.device import Device
from ullage.planning.pace import LIKELY
from ullage.planning.passes import Held, Task, one_pass, pass_time, scans
from ullage.planning.place import Assigned, Off, OnDevice
from ullage.planning.placement import Placement
from ullage.planning.plan import PhaseTime


def phase_times(
    demand: Demand, placement: Placement, devices: tuple[Device, ...], examples: int
) -> tuple[PhaseTime, ...]:
    """Seconds of one pass of each phase, and of all passes of the workload."""
    times = []
    for phase, task, passes in timed(demand, placement, devices, examples):
        found = None if task is None else pass_time(task)
        if found is None:
            times.append(PhaseTime(phase.name, None, None, None, "unknown"))
            continue
        seconds, bound = found
        rate = seconds.per(_tokens(phase.work, demand.parts[phase.running]))
        times.append(PhaseTime(phase.name, seconds, seconds * passes, rate, bound))
    return tuple(times)


def total_seconds(
    demand: Demand, placement: Placement, devices: tuple[Device, ...], examples: int
) -> float | None:
    """Expected seconds of the whole workload; None where a phase's are not known."""
    total = 0.0
    known: dict[tuple[Needs, int, bool], float | None] = {}
    for phase, task, passes in timed(demand, placement, devices, examples):
        if task is None:
            return None
        key = task.needs, id(phase.work), phase.once
        if key not in known:
            found = one_pass(task, LIKELY)
            known[key] = None if found is None else found.value
        seconds = known[key]
        if seconds is None:
            return None
        total += seconds * passes
    return total


def timed(
    demand: Demand, placement: Placement, devices: tuple[Device, ...], examples: int
) -> Iterator[tuple[Phase, Task | None, float]]:
    """Phases that are timed, each with one pass of it and how many there are."""
    held = {name: _held(assigned, devices) for name, assigned in placement.items()}
    kernels: dict[str, str] = {}
    for phase, asked in zip(demand.phases, demand.asked, strict=True):
        name = phase.running
        where = held.get(name)
        if where is None:
            continue
        role, model = next(each.role for each in phase.resident if each.name == name), demand.parts[name]
        if name not in kernels:
            kernels[name], _ = kernel_of(name, role, demand.phases, model)
        task = Task(phase, role, model, demand.precisions[name], kernels[name], asked[name], where)
        known = role.runs_with.memory != "process" or not scans(model, phase.work)
        yield phase, task if known else None, 1.0 if phase.once else phase.work.passes * examples


@lru_cache(maxsize=RECENT)
def _held(assigned: Assigned, devices: tuple[Device, ...]) -> Held | None:
    """None where no device computes. Blocks that wait elsewhere are computed on the first device."""
    if not assigned.devices:
        return None
    first = devices[assigned.first.number]
    if assigned.ranks:
        slowest = min(
            (devices[rank.number] for rank in assigned.ranks), key=lambda device: device.gpu.bandwidth or 0.0
        )
        return Held(((slowest, 0, 1),), len(assigned.ranks), 0, 0)
    spans = tuple(
        (devices[place.number] if isinstance(place, OnDevice) else first, start, stop)
        for place, start, stop in assigned.spans
    )
    return Held(spans, 1, assigned.count(Off.HOST), assigned.count(Off.DISK))


def _tokens(work: Work, model: Model) -> int:
    """What the rate of a pass counts: tokens written, or read where none is."""
    if work.activity in ("load", "denoise") or not isinstance(model, Architecture):
        return 0
    prompt = work.batch * (work.prompt_tokens + image_tokens(model, work))
    if work.activity == "decode":
        return work.batch * work.new_tokens
    return work.batch * work.new_tokens or prompt if work.activity == "serve" else prompt
