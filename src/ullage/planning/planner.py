"""Puts a plan together: place, bill, decide, time, price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ullage.errors import UnsupportedError
from ullage.facts.architecture import Architecture, Model
from ullage.facts.gpu import GpuSet
from ullage.facts.hub_name import is_at_commit
from ullage.facts.price import Prices, known_prices
from ullage.memory.demand import Demand
from ullage.memory.forward.recurrence import SCANNED
from ullage.memory.running import kernel_of
from ullage.memory.weights.loading import with_kept_head
from ullage.memory.weights.precision import ResolvedPrecision, leaves_experts
from ullage.planning.bill import Totals
from ullage.planning.billing import device_map, make_bill, place_name
from ullage.planning.cost import Cost, cost_of
from ullage.planning.device import Device, devices_of, limits_of
from ullage.planning.measured_time import NO_TIMES, MeasuredTimes
from ullage.planning.passes import scans
from ullage.planning.phase_time import PhaseTime, sum_times
from ullage.planning.placement import Placement, place
from ullage.planning.plan import DevicePlan, Plan
from ullage.planning.role_plan import EngineShare, Kernel, LoadedPart, Placed, RolePlan
from ullage.planning.stage_times import Laid, latency
from ullage.planning.throughput import phase_times
from ullage.planning.verdict import verdict_of, worst
from ullage.spec.rope import model_of
from ullage.spec.workload import Workload
from ullage.units import gib, peak


def make_plan(
    workload: Workload,
    demand: Demand,
    models: Mapping[str, Model],
    gpus: GpuSet,
    base: Path = Path(),
    asked: tuple[Laid, Laid] | None = None,
    prices: Prices | None = None,
    measured: MeasuredTimes = NO_TIMES,
) -> Plan:
    """The whole plan but its advice and its warnings. `asked` are the ways of one request by itself, and
    those of the planned batches, where the kind lays them out; `prices` the lists that count, without one
    those that come with Ullage; `measured` what past runs took."""
    devices = devices_of(gpus, workload.budget)
    placement = place(demand, devices)
    bill = make_bill(demand, placement, devices)
    planned = device_plans(bill.totals, devices, workload)
    times = phase_times(demand, placement, devices, workload.examples, measured)
    whole = sum_times(times)
    roles = _roles(workload, demand, models, placement, devices)
    cost = cost_of(gpus, whole, workload.examples, prices or known_prices())
    return Plan(
        workload=workload,
        gpus=gpus,
        phases=demand.phases,
        roles=roles,
        bill=bill,
        devices=planned,
        verdict=worst(device.verdict for device in planned),
        times=times,
        cost=cost,
        notes=_notes(workload, devices)
        + _of_layers(workload, demand)
        + tuple(_unfilled(workload, demand))
        + tuple(_unknown_speed(times, devices, demand, placement))
        + tuple(_by_another_label(cost, gpus)),
        models=models,
        base=base,
        latency=None if asked is None else latency(*asked, placement, devices, measured),
    )


def _roles(
    workload: Workload,
    demand: Demand,
    models: Mapping[str, Model],
    placement: Placement,
    devices: tuple[Device, ...],
) -> dict[str, RolePlan]:
    found = {}
    shares = _shares(workload, demand, placement, devices)
    for name, precision in demand.precisions.items():
        role = workload.roles[name]
        model, part = model_of(role, models), demand.parts[name]
        found[name] = RolePlan(
            precision,
            Kernel(*kernel_of(name, role, demand.phases, model)),
            _placed(name, demand, placement, devices),
            _part(part, model, precision),
            shares.get(name),
            _base(name, model, demand, placement, devices),
            demand.known.get(name, ()),
        )
    return found


def _base(name: str, model: Model, demand: Demand, placement: Placement, devices: tuple[Device, ...]) -> str:
    """The commit of the model that an adapter is loaded on. Raises UnsupportedError where that is not held on
    devices of one nature: peft makes its matrices where a weight lies, and none lies there while it waits."""
    if not isinstance(model, Architecture) or model.adapter is None:
        return ""
    places = set(device_map(name, demand, placement, devices).values())
    if places & {"cpu", "disk"} and len(places) > 1:
        raise UnsupportedError(
            f"role {name}: {model.name} is an adapter, and weights that wait in host memory or on disk take "
            "none; give it cards that hold all of its base, or a precision that fits"
        )
    return model.adapter.base if is_at_commit(model.adapter.base) else ""


def _shares(
    workload: Workload, demand: Demand, placement: Placement, devices: tuple[Device, ...]
) -> Mapping[str, EngineShare]:
    if not demand.served:
        return {}
    from ullage.planning.engine_share import shares_of

    return shares_of(workload.roles, demand, placement, devices)


def _placed(name: str, demand: Demand, placement: Placement, devices: tuple[Device, ...]) -> Placed:
    assigned = placement[name]
    where = ", ".join(place_name(each, devices) for each in assigned.places)
    return Placed(device_map(name, demand, placement, devices), where, assigned.reason)


def _part(part: Model, whole: Model, precision: ResolvedPrecision) -> LoadedPart:
    if not isinstance(part, Architecture) or not isinstance(whole, Architecture):
        return LoadedPart()
    if part is whole or part is with_kept_head(whole, precision.unexplained):
        return LoadedPart()
    return LoadedPart(len(part.layers), bool(part.head), "nothing after that is read")


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


def _notes(workload: Workload, devices: tuple[Device, ...]) -> tuple[str, ...]:
    reserve = devices[0].usable - devices[0].budget if devices else 0
    free = f"{workload.budget.reserve} ({gib(reserve)} on {devices[0].name})"
    of_kind = () if workload.section is None else workload.section.notes(workload)
    return (
        f"{free} of each device is kept free as reserve",
        *_of_described(devices),
        *_without_kernels(devices),
        *of_kind,
    )


def _without_kernels(devices: tuple[Device, ...]) -> Iterator[str]:
    """Which cards the wheels that torch is installed from now do not run on."""
    for gpu in dict.fromkeys(device.gpu for device in devices if not device.gpu.abilities.has_kernels):
        yield (
            f"{gpu.id}: torch's wheels have no kernels for {gpu.abilities.what} since 2.11, but for those of "
            "CUDA 12.6, which end with 2.14; a run needs one of these"
        )


def _of_layers(workload: Workload, demand: Demand) -> tuple[str, ...]:
    """What a role's memory rests on that its tables do not show, where transformers runs its layers."""
    return tuple(
        f"{name}: {what}"
        for name, part in sorted(demand.parts.items())
        if isinstance(part, Architecture) and workload.roles[name].runs_with.memory == "process"
        for what in _unshown(part, demand.precisions[name])
    )


def _unshown(architecture: Architecture, precision: ResolvedPrecision) -> Iterator[str]:
    """An order of statements that nobody checked, recurrences without kernels, experts that a precision
    passes over, and an encoder's head that is held and not run."""
    vocabulary = architecture.vocab_size
    if leaves_experts(architecture, precision):
        yield (
            f"its experts stay in {precision.compute}: transformers stacks their matrices, which "
            f"{precision.storage} passes over"
        )
    if architecture.gives == "states" and any(each.shape[0] == vocabulary for each in architecture.final):
        yield (
            f"planned for its states; scores of masked words take positions x {vocabulary:,} x "
            f"{precision.element_bytes} bytes more"
        )
    if architecture.flow_open:
        yield (
            f"its layers' order is not held against the real code: {architecture.flow_open}; their "
            "temporaries are assumed, within a wide interval"
        )
    if any(layer.recurrent is not None and layer.recurrent.kind in SCANNED for layer in architecture.layers):
        yield (
            "planned as its recurrent layers run in torch alone; with the kernels of mamba-ssm, "
            "causal-conv1d or flash-linear-attention a prompt takes several times less"
        )


def _unfilled(workload: Workload, demand: Demand) -> Iterator[str]:
    """Roles with fewer sequences than one of their batches takes: a time is that of a full one."""
    said: dict[str, str] = {}
    for phase in demand.phases:
        sequences = phase.work.passes * phase.work.batch * workload.examples
        if phase.running in demand.parts and not phase.once and 0 < sequences < phase.work.batch:
            said.setdefault(
                phase.running,
                f"{phase.running}: {phase.name} has {sequences:.3g} sequences for a batch of "
                f"{phase.work.batch}; its time and cost are those of a full batch, and a run takes less",
            )
    yield from said.values()


def _by_another_label(cost: Cost | None, gpus: GpuSet) -> Iterator[str]:
    """Where the label that was asked for has no price for the cards."""
    if cost is not None and cost.instead_of:
        yield (
            f"no {cost.instead_of} price is known for {gpus.name}: cost, and advice on any cards, are by "
            f"{cost.label} prices"
        )


def _of_described(devices: tuple[Device, ...]) -> Iterator[str]:
    """What is not known of cards by the user's own figures, and what devices are none."""
    for gpu in dict.fromkeys(device.gpu for device in devices if device.gpu.described):
        if gpu.abilities.simulated:
            yield f"{gpu.id} is simulated: memory of that size for tensors alone, which a run counts"
        elif gpu.unknown:
            yield f"{gpu.id}: not told, and so not known: {', '.join(gpu.unknown)}"


def _unknown_speed(
    times: tuple[PhaseTime, ...], devices: tuple[Device, ...], demand: Demand, placement: Placement
) -> Iterator[str]:
    """Why times and cost are left out, where they are."""
    if all(time.seconds is not None for time in times):
        return
    cards = [device.gpu for device in devices]
    slow = [gpu.id for gpu in cards if None in (gpu.operations, gpu.bandwidth, gpu.pcie)]
    if slow:
        yield (
            "time, and cost per example, are not known: no source states how many operations per second "
            f"{', '.join(dict.fromkeys(slow))} does"
        )
    beside = [name for name, assigned in placement.items() if not assigned.devices]
    if beside and not slow:
        yield (
            f"time of the whole, and cost per example, are not known: {', '.join(beside)} computes on the "
            "processor, whose speed no source states"
        )
    scanned = {phase.running for phase in demand.phases if scans(demand.parts.get(phase.running), phase.work)}
    if scanned:
        names = ", ".join(sorted(scanned))
        yield (
            f"time of the whole, and cost per example, are not known: how long {names} reads a prompt, whose "
            "recurrences torch scans piece by piece, was not measured; a run on these cards measures it, "
            f"and with a model without such layers as roles.{min(scanned)}.model the plan knows it"
        )
