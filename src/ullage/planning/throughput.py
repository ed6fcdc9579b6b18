"""How long each phase of a plan takes: estimates to choose between plans, not promises."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from ullage.facts.architecture import Architecture, Model
from ullage.memory.demand import Demand
from ullage.memory.forward.window import image_tokens
from ullage.memory.needs import RECENT
from ullage.memory.running import kernel_of
from ullage.phases.phase import Phase, Work
from ullage.planning.billing import place_name
from ullage.planning.device import Device
from ullage.planning.measured_time import NO_TIMES, MeasuredTime, MeasuredTimes, doing, manner
from ullage.planning.passes import expected_seconds, pass_time
from ullage.planning.phase_time import Bound, PhaseTime, TimeBasis
from ullage.planning.place import Assigned, Off, OnDevice
from ullage.planning.placement import Placement
from ullage.planning.storing import stored_with, storing
from ullage.planning.task import UNCHANGED, Held, Task, task_of
from ullage.units import Estimate

_UNKNOWN: Final[tuple[None, Bound]] = (None, "unknown")


def phase_times(
    demand: Demand,
    placement: Placement,
    devices: tuple[Device, ...],
    examples: int,
    measured: MeasuredTimes = NO_TIMES,
) -> tuple[PhaseTime, ...]:
    """Seconds of one pass of each phase in which a role that is held here computes, and of all passes of the
    workload: as past runs `measured` them, else by what the cards can do; what a processor takes beside cards
    is not known."""
    times = []
    known: dict[tuple[Task, Held], tuple[Estimate, Bound] | None] = {}
    stored = storing(demand)
    for at, (phase, done) in enumerate(zip(demand.phases, passes(demand, placement, devices), strict=True)):
        if done is None:
            if phase.running in placement:
                times.append(PhaseTime(phase.name, None, None, None, "unknown", "unknown"))
            continue
        if done not in known:
            known[done] = pass_time(*done)
        task, found, name = done[0], known[done], phase.name
        seconds, bound = found or _UNKNOWN
        basis, source = _basis(task, seconds), "" if seconds is None else _ratio(*done)
        past = past_time(phase, task, measured, placement, devices)
        if past is not None:
            seconds, basis, source = past.seconds, "measured", past.source
        whole = None if seconds is None else seconds * phase.passes_of(examples)
        if seconds is not None and whole is not None and past is None:
            seconds, whole, longer = stored_with(seconds, whole, stored.get(at))
            bound = "disk" if longer else bound
        rate = None if seconds is None else seconds.per(_tokens(task.work, task.model))
        times.append(PhaseTime(name, seconds, whole, rate, bound, basis, source))
    return tuple(times)


def _basis(task: Task, seconds: Estimate | None) -> TimeBasis:
    if seconds is None:
        return "unknown"
    return "assumed" if task.slowdown is None and task.work.activity != "load" else "derived"


def _ratio(task: Task, held: Held) -> str:
    """What a quantized product's time rests on; "" of weights in 16 bits, and where they are only loaded."""
    scheme, slowdown = task.precision.scheme, task.slowdown_on(held)
    if scheme is None or task.work.activity == "load" or slowdown is UNCHANGED:
        return ""
    if slowdown is None:
        return f"nobody published what {scheme.name} takes beside 16 bits"
    return f"{scheme.name} beside 16 bits as on {slowdown.of}"


def past_time(
    phase: Phase, task: Task, measured: MeasuredTimes, placement: Placement, devices: tuple[Device, ...]
) -> MeasuredTime | None:
    """What past runs took that did the same in the same manner."""
    if not measured:
        return None
    where = ", ".join(place_name(each, devices) for each in placement[phase.running].places)
    done = manner(task.work, task.precision.storage, task.precision.compute, task.kernel, where)
    return measured.get((doing(phase), done))


def total_seconds(
    demand: Demand,
    placement: Placement,
    devices: tuple[Device, ...],
    examples: int,
    measured: MeasuredTimes = NO_TIMES,
) -> tuple[float, dict[str, float], tuple[str, ...]]:
    """Expected seconds of all phases of the workload whose time is known, the same by the role that works in
    them, and the roles of those whose is not."""
    total = 0.0
    spent: dict[str, float] = {}
    unknown: dict[str, None] = {}
    stored = storing(demand)
    for at, (phase, done) in enumerate(zip(demand.phases, passes(demand, placement, devices), strict=True)):
        if done is None:
            if phase.running in placement:
                unknown[phase.running] = None
            continue
        past = past_time(phase, done[0], measured, placement, devices)
        seconds = expected_seconds(*done) if past is None else past.seconds.expected
        if seconds is None:
            unknown[phase.running] = None
        else:
            whole = seconds * phase.passes_of(examples)
            if past is None and at in stored:
                whole += stored[at].expected
            total += whole
            spent[phase.running] = spent.get(phase.running, 0.0) + whole
    return total, spent, tuple(unknown)


def passes(
    demand: Demand, placement: Placement, devices: tuple[Device, ...]
) -> Iterator[tuple[Task, Held] | None]:
    """One pass of each phase, and where its role is held; None where no device computes."""
    held = {name: _held(assigned, devices) for name, assigned in placement.items()}
    for phase, task in zip(demand.phases, _tasks(demand), strict=True):
        where = held.get(phase.running)
        yield None if task is None or where is None else (task, where)


@lru_cache(maxsize=RECENT)
def _tasks(demand: Demand) -> tuple[Task | None, ...]:
    """One pass of each phase, wherever its role is held; None where that is on another machine."""
    waiting = {each.name for phase in demand.phases for each in phase.resident if each.where == "host"}
    kernels: dict[str, str] = {}
    found: list[Task | None] = []
    for phase, asked in zip(demand.phases, demand.asked, strict=True):
        name = phase.running
        if name not in demand.parts:
            found.append(None)
            continue
        role, model = next(each.role for each in phase.resident if each.name == name), demand.parts[name]
        if name not in kernels:
            kernels[name], _ = kernel_of(name, role, demand.phases, model)
        from_disk = phase.once or name not in waiting
        precision = demand.precisions[name]
        found.append(task_of(phase.work, role, model, precision, kernels[name], asked[name].read, from_disk))
    return tuple(found)


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
    if work.activity in ("load", "update", "denoise") or not isinstance(model, Architecture):
        return 0
    prompt = work.batch * (work.prompt_tokens + image_tokens(model, work))
    if work.activity == "decode":
        return work.batch * work.new_tokens
    return work.batch * work.new_tokens or prompt if work.activity == "serve" else prompt
