"""What a role needs by being loaded: weights, the allocator's rounding of them, kept caches."""

from __future__ import annotations

from functools import lru_cache

from ullage.facts.architecture import Architecture, Pipeline
from ullage.memory.allocator import growing_remainder
from ullage.memory.demand import Basis, Home, Need
from ullage.memory.forward.cache import layer_cache
from ullage.memory.forward.matmul import dequantization_buffer
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import (
    block_bytes,
    distinct_layers,
    embedding_weights,
    head_weights,
    weights_allocation,
)
from ullage.phases.phase import Phase, Resident
from ullage.units import Interval

TEXT_TOKENS = 512
"""Text length a diffusion transformer attends to when its encoders do not say."""


def resident_needs(
    resident: Resident, architecture: Architecture, phase: str, precision: ResolvedPrecision
) -> tuple[Need, ...]:
    """Weights where the role's residency puts them, and the caches it keeps while idle."""
    needs = _weights(resident.name, architecture, phase, precision, resident.where)
    if resident.where != "device" or not resident.cached_batch:
        return needs
    return needs + cache_needs(
        resident, architecture, phase, precision, resident.cached_batch, resident.cached_tokens
    )


@lru_cache(maxsize=8192)
def _weights(
    role: str, architecture: Architecture, phase: str, precision: ResolvedPrecision, where: str
) -> tuple[Need, ...]:
    home = _home(where)
    basis: Basis = "exact" if precision.scheme is None else "derived"
    needs = []
    last = len(architecture.layers) + 1
    parts = [(layer.weights, blocks) for layer, blocks in distinct_layers(architecture)]
    parts += [(embedding_weights(architecture), (0,)), (head_weights(architecture), (last,))]
    linear = 0
    for weights, blocks in parts:
        sizes = block_bytes(weights, precision)
        linear = max(linear, sizes.largest_linear)
        each = Interval.exactly(sizes.bytes)
        needs.append(Need(role, "weights", phase, blocks, each, basis, home=home))
    if home != "gpu":
        return tuple(needs)
    allocation = weights_allocation(architecture, precision)
    every = tuple(range(last + 1))
    kept = allocation.allocated - allocation.requested
    share, rest = divmod(kept, last + 1)
    note = "blocks of the caching allocator are larger than the weights in them"
    needs.append(Need(role, "rounding", phase, every, Interval(0, share, 2 * share), "derived", note=note))
    needs.append(Need(role, "rounding", phase, (0,), Interval(0, rest, 2 * rest), "derived"))
    spare = (allocation.reserved - allocation.allocated) // (last + 1)
    needs.append(
        Need(
            role,
            "fragmentation",
            phase,
            every,
            Interval(0, spare, 2 * spare),
            "derived",
            level="reserved",
        )
    )
    buffer = dequantization_buffer(linear, precision)
    if buffer:
        each = Interval(0, buffer, buffer)
        note = "16-bit buffer of the 4-bit kernels"
        needs.append(Need(role, "workspace", phase, every, each, "derived", "once", note=note))
    return tuple(needs)


def _home(where: str) -> Home:
    homes: dict[str, Home] = {"device": "gpu", "disk": "disk"}
    return homes.get(where, "host")


def cache_needs(
    resident: Resident,
    architecture: Architecture,
    phase: str,
    precision: ResolvedPrecision,
    batch: int,
    seen: int,
    last_pass: int = 1,
    capacity: int | None = None,
) -> tuple[Need, ...]:
    """The key-value cache and recurrent states after `seen` tokens, layer by layer."""
    role, cache = resident.name, resident.role.cache
    if seen == 0:
        return ()
    needs = []
    for layer, blocks in distinct_layers(architecture):
        held = layer_cache(layer, batch, seen, last_pass, capacity or seen, cache, precision)
        if held.count:
            size = Interval.exactly(held.count * held.bytes)
            needs.append(Need(role, "kv_cache", phase, blocks, size, "derived"))
            kept = growing_remainder(held.bytes) * held.count
            if last_pass > 1 or cache.kind == "static":
                kept = Interval(0, 0, kept.high)
            needs.append(Need(role, "rounding", phase, blocks, kept, "derived", note="cache"))
        if held.fixed_bytes:
            size = Interval.exactly(held.fixed_bytes)
            needs.append(Need(role, "recurrent_state", phase, blocks, size, "derived"))
    return tuple(needs)


def pipeline_weights(
    resident: Resident,
    pipeline: Pipeline,
    phase: Phase,
    precision: ResolvedPrecision,
    running: bool,
) -> list[Need]:
    """A diffusion pipeline's networks are its blocks; each one's temporaries while it runs."""
    role, width = resident.name, precision.element_bytes
    home = _home(resident.where)
    needs = []
    encoders = [c.tokens for c in pipeline.components if c.kind == "text_encoder"]
    text = max(encoders, default=TEXT_TOKENS)
    for block, component in enumerate(pipeline.components):
        size = Interval.exactly(component.parameters * width)
        needs.append(Need(role, "weights", phase.name, (block,), size, "exact", home=home))
        if running and phase.work.activity == "denoise":
            from ullage.memory.forward.diffusion import component_bytes

            side = phase.work.image_size
            temporary = component_bytes(component, phase.work.batch, *side, text, width)
            needs.append(
                Need(
                    role,
                    "activations",
                    phase.name,
                    (block,),
                    temporary,
                    "assumed",
                    "max",
                    note=component.name,
                )
            )
    return needs
