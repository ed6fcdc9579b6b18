"""Where every block of every role goes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import add

from ullage.errors import InputError, UnsupportedError
from ullage.facts.abilities import of_capability
from ullage.memory.demand import PROCESS, Demand, RoleShape, Spells
from ullage.memory.needs import RECENT
from ullage.planning.device import CPU_NAME, HOST, Device, host_of
from ullage.planning.loads import (
    Beside,
    beside,
    filler,
    least_share,
    offloaded,
    room,
    taken,
    taken_at_first,
)
from ullage.planning.place import OFFLOAD, Assigned, Off, OnDevice, Place, Span, alone, assigned

ON_THE_CPU = "there is no GPU"
BY_FILE = "placed on the CPU by the file"
BY_MAP = "as the file's device_map says"
_SEARCH_STEPS = 9
"""Halvings of a range a quarter wide: balanced to a two-thousandth of a budget."""
_NO_BUDGET = 2.0**20
"""A share of the budgets beyond any size: what limits a role then is its own max_memory."""


Placement = dict[str, Assigned]


def place(demand: Demand, devices: tuple[Device, ...]) -> Placement:
    """A place for every block: pinned roles first, then the largest.

    A role goes to the GPU with most room where it fits; else its blocks are split in order over
    the GPUs so that the fullest one, measured against its budget, is as empty as possible. Where
    nothing fits, this still is the split that exceeds least. Raises InputError for places the
    machine does not have.
    """
    if len(devices) == 1 and all(shape.ranks == 1 and not shape.max_memory for shape in demand.roles):
        return {shape.name: _on_the_only(shape, devices) for shape in demand.roles}
    spells, count = demand.spells, len(devices)
    used = taken_at_first(spells[PROCESS], count)
    shapes = sorted(
        demand.roles,
        key=lambda shape: (shape.placement == "auto" and not shape.places, -spells[shape.name].size),
    )
    placement: Placement = {}
    for shape in shapes:
        own = spells[shape.name]
        placement[shape.name] = _place_role(shape, own, used, devices)
        if shape is not shapes[-1]:
            used = tuple(map(add, used, taken(own, placement[shape.name], count)))
    return {shape.name: placement[shape.name] for shape in demand.roles}


def _mapped(shape: RoleShape, devices: tuple[Device, ...]) -> Assigned:
    """Blocks where the file's own map puts them. Raises InputError for a GPU that is not there and where no
    device computes, UnsupportedError where quantized weights would wait."""
    what = f"role {shape.name}: device_map"
    places: list[Place] = []
    for device in shape.places:
        number = int(device.removeprefix("gpu:")) if device.startswith("gpu:") else None
        if number is not None and number >= len(devices):
            have = (
                "there is only GPU 0" if len(devices) == 1 else f"there are only GPUs 0 to {len(devices) - 1}"
            )
            raise InputError(f"{what}: places modules on GPU {number}, but {have}")
        if number is None and (device == "disk" or host_of(devices) == HOST):
            places.append(Off(device))
        else:
            places.append(OnDevice(number or 0))
    found = assigned(_joined(places), (), BY_MAP)
    if not found.devices and Off.DISK in found.places:
        raise InputError(f"{what}: puts nothing where it can be computed; give a GPU to one module at least")
    if found.devices and len(found.devices) < len(found.places) and _stays(shape):
        assert shape.quantized is not None
        raise UnsupportedError(
            f"{what}: transformers offloads no {shape.quantized.name} weights; place every module on GPUs"
        )
    _check_loaded(shape, found, devices)
    return found


def _joined(places: Sequence[Place]) -> tuple[Span, ...]:
    """Blocks in these places, neighbours in one place together."""
    found: list[Span] = []
    for at, place in enumerate(places):
        if found and found[-1].place == place:
            found[-1] = found[-1]._replace(stop=at + 1)
        else:
            found.append(Span(place, at, at + 1))
    return tuple(found)


def _alone(left: int) -> str:
    fits = "fits on one GPU" if left >= 0 else "cannot be split, and fits on no one GPU"
    return f"{fits}: the one with most room"


@lru_cache(maxsize=256)
def _on_the_only(shape: RoleShape, devices: tuple[Device, ...]) -> Assigned:
    if shape.places:
        return _mapped(shape, devices)
    if shape.placement == "cpu":
        return assigned(alone(Off.HOST, shape.blocks), (), BY_FILE)
    reason = ON_THE_CPU if devices[0].name == CPU_NAME else "there is one GPU"
    found = assigned(alone(OnDevice(_allowed(shape, devices)[0]), shape.blocks), (), reason)
    _check_loaded(shape, found, devices)
    return found


@lru_cache(maxsize=RECENT)
def _place_role(
    shape: RoleShape, spells: Spells, used: tuple[int, ...], devices: tuple[Device, ...]
) -> Assigned:
    """A role beside those placed before, which use so much; nothing else of the workload bears on it."""
    found = _chosen(shape, spells, used, devices)
    _check_loaded(shape, found, devices)
    offered = OFFLOAD & {device for device, _ in shape.max_memory}
    if host_of(devices) != HOST:
        offered -= {Off.HOST.value}  # it is the device itself
    if found.devices and offered and _stays(shape):
        assert shape.quantized is not None
        said = (
            f"; transformers offloads no {shape.quantized.name} weights, and what waits unquantized with "
            "llm_int8_enable_fp32_cpu_offload alone"
        )
        return assigned(found.spans, found.ranks, found.reason + said)
    return found


def _check_loaded(shape: RoleShape, found: Assigned, devices: tuple[Device, ...]) -> None:
    """Raises UnsupportedError where quantized weights are on a card that does not compute with them."""
    bound = shape.quantized
    if bound is None:
        return
    for device in (devices[each.number] for each in found.devices):
        abilities = device.gpu.abilities
        if not abilities.reaches(bound.least_capability):
            raise UnsupportedError(
                f"role {shape.name}: {bound.name} needs {of_capability(bound.least_capability)}, "
                f"{device.name} has {abilities.what.rpartition(' ')[2]}; use another card, or precision: fp16"
            )


def _chosen(shape: RoleShape, spells: Spells, used: tuple[int, ...], devices: tuple[Device, ...]) -> Assigned:
    if shape.places:
        return _mapped(shape, devices)
    if shape.placement == "cpu":
        return assigned(alone(Off.HOST, shape.blocks), (), BY_FILE)
    allowed = _allowed(shape, devices)
    others = beside(spells, used, allowed, len(devices))
    if shape.ranks > 1:
        if shape.ranks > len(allowed):
            raise InputError(
                f"role {shape.name}: tensor_parallel {shape.ranks} needs as many GPUs, "
                f"there {'is' if len(allowed) == 1 else 'are'} {len(allowed)}"
            )
        ranks = tuple(sorted(allowed, key=lambda index: (-room(others, index, devices), index)))
        return assigned((), _on(ranks[: shape.ranks]), f"tensor parallel over {shape.ranks} GPUs")
    limits = _limits(shape, devices)
    if len(allowed) == 1:
        why = "there is one GPU" if shape.placement == "auto" else "pinned by the file"
        return _within(shape, others, devices, allowed, why)
    if OFFLOAD & set(limits):
        return _within(shape, others, devices, allowed, "split over the GPUs")
    best = max(allowed, key=lambda index: room(others, index, devices))
    size = max((each.needs.whole[2] for each in others), default=0)
    left = min(room(others, best, devices), limits.get(f"gpu:{best}", 2**62) - size)
    listed = shape.placement != "auto"
    if (left >= 0 and not listed) or not shape.splittable:
        return assigned(alone(OnDevice(best), shape.blocks), (), _alone(left))
    why = "split by request" if listed else "too large for one GPU beside what else is loaded"
    return _within(shape, others, devices, allowed, why)


def _limits(shape: RoleShape, devices: tuple[Device, ...]) -> dict[str, int]:
    """`max_memory` by device; where host memory is the device's own, the cpu's limit is the device's."""
    limits = dict(shape.max_memory)
    if host_of(devices) != HOST and "cpu" in limits:
        limits["gpu:0"] = limits.pop("cpu")
    if _stays(shape):
        limits = {device: size for device, size in limits.items() if device not in OFFLOAD}
    return limits


def _stays(shape: RoleShape) -> bool:
    """Whether the loader of the role's quantization scheme offloads nothing."""
    return shape.quantized is not None and not shape.quantized.offloads


def _allowed(shape: RoleShape, devices: tuple[Device, ...]) -> tuple[int, ...]:
    if shape.placement in ("auto", "balanced"):
        return tuple(range(len(devices)))
    names = (shape.placement,) if isinstance(shape.placement, str) else shape.placement
    indices = tuple(int(name.removeprefix("gpu:")) for name in names if name.startswith("gpu:"))
    for index in indices:
        if index >= len(devices):
            raise InputError(
                f"role {shape.name}: placement gpu:{index}, but there "
                f"{'is' if len(devices) == 1 else 'are'} only {len(devices)} "
                f"(gpu:0{'' if len(devices) == 1 else f' to gpu:{len(devices) - 1}'})"
            )
    return indices


def _within(
    shape: RoleShape,
    others: tuple[Beside, ...],
    devices: tuple[Device, ...],
    allowed: tuple[int, ...],
    why: str,
) -> Assigned:
    """Blocks in order over `allowed`, the fullest as empty as can be; the rest on the CPU where
    `max_memory` offers it."""
    limits = _limits(shape, devices)
    fill = filler(shape, others, allowed, limits, devices)
    offloads = OFFLOAD & set(limits)
    if limits and not offloads and fill(_NO_BUDGET)[-1] < shape.blocks:
        raise InputError(
            f"role {shape.name}: max_memory holds {fill(_NO_BUDGET)[-1]} of its {shape.blocks} blocks; "
            f"raise it{'' if _stays(shape) else ', or add cpu or disk to offload the rest'}"
        )
    if len(allowed) == 1 and not offloads:
        return assigned(alone(OnDevice(allowed[0]), shape.blocks), (), why)
    if shape.splittable and offloads:
        # Offloaded layers are computed on a device, so one block at least is there.
        filled = _spans(allowed, fill(1.0)) or alone(OnDevice(allowed[0]), 1)
        filled += offloaded(others, range(filled[-1].stop, shape.blocks), limits)
        return assigned(filled, (), why + "; what max_memory leaves over is offloaded")
    low, high = 0.0, max(least_share(others, allowed, devices), 2**-10)
    while fill(high)[-1] < shape.blocks and high < 2**20:
        low, high = high, high * 1.25
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2
        if fill(middle)[-1] < shape.blocks:
            low = middle
        else:
            high = middle
    stops = fill(high)
    return assigned(_spans(allowed, [*stops[:-1], shape.blocks]), (), why)


def _on(indices: tuple[int, ...]) -> tuple[OnDevice, ...]:
    return tuple(map(OnDevice, indices))


def _spans(allowed: tuple[int, ...], stops: list[int]) -> tuple[Span, ...]:
    """Blocks on devices, from where each device's range stops."""
    starts = [0, *stops]
    found = (Span(OnDevice(at), *ends) for at, *ends in zip(allowed, starts, stops, strict=False))
    return tuple(span for span in found if span.start < span.stop)
