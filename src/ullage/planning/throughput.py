"""Roofline seconds of each phase (Williams et al. 2009, doi 10.1145/1498765.1498785).

These are estimates to choose between plans, not promises: every efficiency below is a rough share of
a card's peak, and pipelines over several GPUs are counted as running one GPU at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from ullage.facts.architecture import Architecture, Attention, LatentAttention, Model, Pipeline
from ullage.memory.demand import Demand
from ullage.memory.forward.recurrence import SCANNED
from ullage.memory.forward.window import image_tokens
from ullage.memory.needs import RECENT, Needs
from ullage.phases.phase import Phase, Work
from ullage.planning.device import Device
from ullage.planning.place import Assigned, Off
from ullage.planning.placement import Placement
from ullage.planning.plan import Bound, PhaseTime

COMPUTE_EFFICIENCY = 0.5
"""Assumed share of dense tensor-core peak that prefill reaches (0.3 to 0.7 in practice)."""
MEMORY_EFFICIENCY = 0.62
"""Share of peak bandwidth at which weights are read in decode: Qwen2.5-72B in BF16 over two A100 80GB,
8.73 tokens/s x 145 GB (Qwen2.5 speed benchmark)."""
DISK_BYTES_PER_SECOND = 2e9
"""Assumed read rate of a local NVMe drive into GPU memory."""
PCIE_EFFICIENCY = 0.8
"""Assumed share of a bus's line rate that copies from pinned host memory reach."""
OnePass = tuple[float, Bound, int]
"""(seconds, what bounds them, tokens they give)"""
TRAIN_FACTOR = 3.0
"""A backward pass costs twice a forward pass; checkpointing adds one more forward. With frozen weights it
costs once a forward pass, and layers are checkpointed always."""
UPDATE_PASSES = 7
"""Times weights go by while AdamW steps: they, their gradients and both moments read, all but gradients
written."""


class Held(NamedTuple):
    """How a role is held while it runs: the device that is read slowest, how many share every block, and how
    many of its blocks wait in host memory and on disk."""

    device: Device
    ranks: int
    blocks: int
    host: int
    disk: int


def phase_times(
    demand: Demand, placement: Placement, devices: tuple[Device, ...], examples: int
) -> tuple[PhaseTime, ...]:
    """Seconds of one pass of each phase, and of all passes of the workload."""
    times = []
    for phase, one, passes in _timed(demand, placement, devices, examples):
        if one is None:
            times.append(PhaseTime(phase.name, None, None, None, "unknown"))
            continue
        seconds, bound, tokens = one
        rate = tokens / seconds if tokens and seconds else None
        times.append(PhaseTime(phase.name, seconds, seconds * passes, rate, bound))
    return tuple(times)


def total_seconds(
    demand: Demand, placement: Placement, devices: tuple[Device, ...], examples: int
) -> float | None:
    """Seconds of the whole workload; None where a phase's are not known."""
    total = 0.0
    for _, one, passes in _timed(demand, placement, devices, examples):
        if one is None:
            return None
        total += one[0] * passes
    return total


def _timed(
    demand: Demand, placement: Placement, devices: tuple[Device, ...], examples: int
) -> Iterator[tuple[Phase, OnePass | None, float]]:
    """Phases that are timed, each with one pass of it and how many there are."""
    held = {name: _held(assigned, devices) for name, assigned in placement.items()}
    # Phases share works: those in which a role does the same take equally long.
    known: dict[tuple[Needs, int, bool], OnePass | None] = {}
    for phase, asked in zip(demand.phases, demand.asked, strict=True):
        on = held.get(phase.running)
        if on is None:
            continue
        needs = asked[phase.running]
        key = needs, id(phase.work), phase.once
        if key not in known:
            known[key] = _one_pass(phase, demand.parts[phase.running], needs, on)
        yield phase, known[key], 1.0 if phase.once else phase.work.passes * examples


@lru_cache(maxsize=RECENT)
def _held(assigned: Assigned, devices: tuple[Device, ...]) -> Held | None:
    """None where no device computes. A device of unknown bandwidth is slower than all."""
    used = [devices[device.number] for device in assigned.devices]
    if not used:
        return None
    slowest = min(used, key=lambda device: device.gpu.bandwidth or 0.0)
    blocks = assigned.spans[-1].stop if assigned.spans else 1
    host, disk = assigned.count(Off.HOST), assigned.count(Off.DISK)
    return Held(slowest, max(len(assigned.ranks), 1), blocks, host, disk)


def _one_pass(phase: Phase, model: Model, needs: Needs, held: Held) -> OnePass | None:
    """One pass with what crosses to the device in it; None where it is not known how long it takes."""
    weights, cache = needs.read
    role = next(r.role for r in phase.resident if r.name == phase.running)
    if role.runs_with.memory == "process" and scans(model, phase.work):
        return None
    found = _phase(phase, model, held.device, weights, cache, role.runs_with.layer_seconds, held.ranks)
    crossing = _crossing(phase.work, weights, held)
    if found is None or crossing is None:
        return None
    seconds, bound, tokens = found
    return seconds + crossing, bound, tokens


def scans(model: Model | None, work: Work) -> bool:
    """Whether torch scans positions one after the other, or chunk by chunk: that takes as long as so many
    calls, many times what the operations would, and no measurement says how long."""
    several = work.activity in ("prefill", "train", "backward") and work.prompt_tokens > 1
    return several and isinstance(model, Architecture) and _has_scans(model)


@lru_cache(maxsize=RECENT)
def _has_scans(model: Architecture) -> bool:
    return any(layer.recurrent is not None and layer.recurrent.kind in SCANNED for layer in model.layers)


def _crossing(work: Work, weights: int, held: Held) -> float | None:
    """Seconds in which offloaded layers cross PCI Express, or come from disk, once per forward pass.

    None where the bus is not known.
    """
    if work.activity == "load" or not held.host + held.disk:
        return 0.0
    pcie = held.device.gpu.pcie
    if pcie is None:
        return None
    crossing = weights * held.host / held.blocks / pcie
    crossing += weights * held.disk / held.blocks / DISK_BYTES_PER_SECOND
    steps = work.new_tokens if work.activity == "decode" else 1
    return crossing * max(steps, 1)


def _phase(
    phase: Phase, model: Model, device: Device, weights: int, cache: int, layer_seconds: float, ranks: int
) -> OnePass | None:
    """One pass of a phase's work; None where the card's speed is not known.

    Bytes are those of one rank already; operations are shared out over `ranks`.
    """
    work, gpu = phase.work, device.gpu
    if work.activity == "load":
        # What is loaded again for every example waits in host memory, unless the file says disk.
        role = next(r.role for r in phase.resident if r.name == phase.running)
        if phase.once or role.residency == "disk":
            return weights / DISK_BYTES_PER_SECOND, "load", 0
        return None if gpu.pcie is None else (weights / (gpu.pcie * PCIE_EFFICIENCY), "load", 0)
    if gpu.operations is None or gpu.bandwidth is None:
        return None
    flops = gpu.operations.per_second * COMPUTE_EFFICIENCY * ranks
    bandwidth = gpu.bandwidth * MEMORY_EFFICIENCY
    if isinstance(model, Pipeline):
        pixels = work.image_size[0] * work.image_size[1] // 256
        transformer = next((c for c in model.components if c.kind == "transformer"), None)
        need = 2 * (transformer.parameters if transformer else model.parameters)
        return need * pixels * work.steps * work.batch / flops, "compute", 0
    if work.activity == "update":
        whole = work.training is not None and work.training.whole
        return (UPDATE_PASSES * weights / bandwidth if whole else 0.0), "memory", 0
    layers = len(model.layers)
    overhead = layers * layer_seconds
    new = work.prompt_tokens + image_tokens(model, work)
    prompt = work.batch * new
    forward = 2 * model.active_parameters * prompt + _attention_flops(model, new) * work.batch
    forward += _tower_flops(model, work) * work.batch
    if work.activity in ("train", "backward"):
        factor = TRAIN_FACTOR + (1 if work.gradient_checkpointing else 0)
        return forward * factor / flops, "compute", prompt
    chunks = -(-new // work.chunk_tokens) if work.chunk_tokens else 1
    prefill = max(forward / flops, max(chunks, 1) * max(weights / bandwidth, overhead))
    step = max((weights + cache) / bandwidth, overhead, 2 * model.active_parameters * work.batch / flops)
    if work.activity == "prefill":
        return prefill, "compute" if prefill == forward / flops else "memory", prompt
    if work.activity == "decode":
        return step * work.new_tokens, "memory", work.batch * work.new_tokens
    generated = work.batch * work.new_tokens
    return prefill + step * work.new_tokens, "memory", generated or prompt


def _tower_flops(model: Architecture, work: Work) -> int:
    """Matrix products of the image tower over one sequence's images; its attention scores are not counted."""
    if not work.images or model.vision is None:
        return 0
    weights = sum(weight.elements for weight in model.vision.weights if weight.role == "linear")
    return 2 * weights * work.images * model.vision.lay(work.image_size).patches


@lru_cache(maxsize=4096)
def _attention_flops(model: Architecture, tokens: int) -> int:
    """Scores and weighted values: 4 x tokens^2 x heads x head_dim, half of it under causality."""
    total = 0
    for layer in model.layers:
        mixer = layer.mixer
        if isinstance(mixer, Attention):
            seen = tokens if mixer.window is None else min(tokens, mixer.window)
            total += 2 * tokens * seen * mixer.heads * mixer.head_dim
        elif isinstance(mixer, LatentAttention):
            total += 2 * tokens * tokens * mixer.heads * (mixer.nope_dim + mixer.rope_dim)
    return total
