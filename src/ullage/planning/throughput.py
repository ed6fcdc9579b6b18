"""Roofline seconds of each phase (Williams et al. 2009, doi 10.1145/1498765.1498785).

These are estimates to choose between plans, not promises: every efficiency below is a rough share of
a card's peak, and pipelines over several GPUs are counted as running one GPU at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from ullage.facts.architecture import Architecture, Attention, LatentAttention, Model, Pipeline
from ullage.facts.gpu import Gpu
from ullage.memory.demand import Demand
from ullage.phases.phase import Phase
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
TRAIN_FACTOR = 3.0
"""A backward pass costs twice a forward pass; checkpointing adds one more forward."""


def phase_times(
    phases: tuple[Phase, ...],
    models: Mapping[str, Model],
    demand: Demand,
    placement: Placement,
    devices: tuple[Device, ...],
    examples: int,
) -> tuple[PhaseTime, ...]:
    """Seconds of one pass of each phase, and of all passes of the workload."""
    sizes: dict[tuple[str, str, str], int] = {}
    for need in demand.needs:
        if need.component in ("weights", "kv_cache", "recurrent_state"):
            key = (need.role, need.phase, "weights" if need.component == "weights" else "cache")
            sizes[key] = sizes.get(key, 0) + need.each.expected * len(need.blocks)
    times = []
    for phase in phases:
        name = phase.running
        if name is None or name not in placement:
            continue
        role = next(r.role for r in phase.resident if r.name == name)
        gpu = _slowest(placement, name, devices)
        if gpu is None:
            continue
        weights = sizes.get((name, phase.name, "weights"), 0)
        cache = sizes.get((name, phase.name, "cache"), 0)
        ranks = max(len(placement[name].ranks), 1)
        found = _phase(phase, demand.parts[name], gpu, weights, cache, role.runs_with.layer_seconds, ranks)
        crossing = _crossing(phase, placement[name], weights, gpu.gpu)
        if found is None or crossing is None:
            times.append(PhaseTime(phase.name, None, None, None, "unknown"))
            continue
        seconds, bound, tokens = found
        seconds += crossing
        passes = 1.0 if phase.once else phase.work.passes * examples
        rate = tokens / seconds if tokens and seconds else None
        times.append(PhaseTime(phase.name, seconds, seconds * passes, rate, bound))
    return tuple(times)


def _slowest(placement: Placement, role: str, devices: tuple[Device, ...]) -> Device | None:
    """The device that is read slowest; one of unknown bandwidth before all."""
    held = [devices[device.number] for device in placement[role].devices]
    return min(held, key=lambda device: device.gpu.bandwidth or 0.0, default=None)


def _crossing(phase: Phase, assigned: Assigned, weights: int, gpu: Gpu) -> float | None:
    """Seconds in which offloaded layers cross PCI Express, or come from disk, once per forward pass.

    None where the bus is not known.
    """
    host, disk = assigned.blocks.count(Off.HOST), assigned.blocks.count(Off.DISK)
    if phase.work.activity == "load" or not host + disk:
        return 0.0
    if gpu.pcie is None:
        return None
    crossing = weights * host / len(assigned.blocks) / gpu.pcie
    crossing += weights * disk / len(assigned.blocks) / DISK_BYTES_PER_SECOND
    steps = phase.work.new_tokens if phase.work.activity == "decode" else 1
    return crossing * max(steps, 1)


def _phase(
    phase: Phase, model: Model, device: Device, weights: int, cache: int, layer_seconds: float, ranks: int
) -> tuple[float, Bound, int] | None:
    """(seconds, what bounds them, tokens they give) of one pass; None where the card's speed is not known.

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
    layers = len(model.layers)
    overhead = layers * layer_seconds
    prompt = work.batch * work.prompt_tokens
    forward = 2 * model.active_parameters * prompt + _attention_flops(model, work.prompt_tokens) * work.batch
    if work.activity == "train":
        factor = TRAIN_FACTOR + (1 if work.gradient_checkpointing else 0)
        return forward * factor / flops, "compute", prompt
    chunks = -(-work.prompt_tokens // work.chunk_tokens) if work.chunk_tokens else 1
    prefill = max(forward / flops, max(chunks, 1) * max(weights / bandwidth, overhead))
    step = max((weights + cache) / bandwidth, overhead, 2 * model.active_parameters * work.batch / flops)
    if work.activity == "prefill":
        return prefill, "compute" if prefill == forward / flops else "memory", prompt
    if work.activity == "decode":
        return step * work.new_tokens, "memory", work.batch * work.new_tokens
    generated = work.batch * work.new_tokens
    return prefill + step * work.new_tokens, "memory", generated or prompt


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
