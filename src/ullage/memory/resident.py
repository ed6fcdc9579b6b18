"""What a role needs by being loaded: weights, the allocator's rounding of them, kept caches."""

from __future__ import annotations

from functools import lru_cache

from ullage.facts.architecture import Architecture, Pipeline
from ullage.memory.allocator import growing_remainder
from ullage.memory.forward.cache import CacheShape, layer_cache
from ullage.memory.forward.matmul import dequantization_buffer
from ullage.memory.loaded import Loaded
from ullage.memory.needs import Basis, Group, Home, Need, group_of
from ullage.memory.weights.beside import adapter_weights
from ullage.memory.weights.loading import BUFFERS
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import (
    block_bytes,
    distinct_layers,
    embedding_weights,
    head_weights,
    weights_allocation,
)
from ullage.phases.phase import Where, Work
from ullage.spec.role import Cache
from ullage.units import Interval

TEXT_TOKENS = 512
"""Text length a diffusion transformer attends to when its encoders do not say."""


def resident_groups(
    loaded: Loaded, where: Where, cached_batch: int = 0, cached_tokens: int = 0
) -> tuple[Group, ...]:
    """Weights where the role's residency puts them, and the caches it keeps while idle."""
    on_processor = loaded.abilities.processor
    weights = _weights(loaded.architecture, loaded.precision, where, on_processor)
    if where != "device" or not cached_batch or not cached_tokens:
        return (weights,)
    shape = CacheShape(cached_batch, cached_tokens, 1, cached_tokens)
    width = loaded.precision.element_bytes
    needs = cache_needs(loaded.architecture, loaded.cache, width, shape)
    return weights, group_of(needs, on_processor, None)


@lru_cache(maxsize=1024)
def _weights(
    architecture: Architecture, precision: ResolvedPrecision, where: Where, on_processor: bool
) -> Group:
    return group_of(_weight_needs(architecture, precision, where), on_processor, None)


def _weight_needs(architecture: Architecture, precision: ResolvedPrecision, where: Where) -> tuple[Need, ...]:
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
        needs.append(Need("weights", blocks, each, basis, home=home))
    if architecture.adapter is not None:
        needs += adapter_weights(architecture.adapter, precision, home)
    if home != "gpu":
        if home == "host":
            note = "tables that wait with the weights"
            needs.append(Need("rounding", (0,), Interval(0, 0, BUFFERS), "derived", home=home, note=note))
        return tuple(needs)
    allocation = weights_allocation(architecture, precision)
    every = tuple(range(last + 1))
    kept = allocation.allocated - allocation.requested
    share, rest = divmod(kept, last + 1)
    note = "blocks of the caching allocator are larger than the weights in them"
    needs.append(Need("rounding", every, Interval(0, share, 2 * share), "derived", note=note))
    needs.append(Need("rounding", (0,), Interval(0, rest, 2 * rest), "derived"))
    reserved = max(allocation.reserved, weights_allocation(architecture, precision, warmed=True).reserved)
    spare = (reserved - allocation.allocated) // (last + 1)
    unused = Interval(0, spare, 2 * spare)
    needs.append(Need("fragmentation", every, unused, "derived", level="reserved"))
    buffer = dequantization_buffer(linear, precision)
    if buffer:
        each = Interval(0, buffer, buffer)
        note = "16-bit buffer of the 4-bit kernels"
        needs.append(Need("workspace", every, each, "derived", "once", note=note))
    return tuple(needs)


def _home(where: Where) -> Home:
    homes: dict[str, Home] = {"device": "gpu", "disk": "disk"}
    return homes.get(where, "host")


def cache_needs(architecture: Architecture, cache: Cache, width: int, shape: CacheShape) -> list[Need]:
    """The key-value cache and recurrent states, layer by layer; elements computed in are `width` bytes."""
    needs = []
    for layer, blocks in distinct_layers(architecture):
        held = layer_cache(layer, shape, cache, width)
        if held.count:
            size = Interval.exactly(held.count * held.bytes)
            needs.append(Need("kv_cache", blocks, size, "derived"))
            kept = growing_remainder(held.bytes) * held.count
            if shape.last_pass > 1 or cache.kind == "static":
                kept = Interval(0, 0, kept.high)
            needs.append(Need("rounding", blocks, kept, "derived", note="cache"))
        if held.fixed_bytes:
            size = Interval.exactly(held.fixed_bytes)
            needs.append(Need("recurrent_state", blocks, size, "derived"))
    return needs


def pipeline_needs(loaded: Loaded, where: Where, work: Work | None) -> tuple[Need, ...]:
    """A diffusion pipeline's networks are its blocks; each one's temporaries while it does `work`."""
    pipeline, width = loaded.model, loaded.precision.element_bytes
    assert isinstance(pipeline, Pipeline)
    home = _home(where)
    needs = []
    encoders = [c.tokens for c in pipeline.components if c.kind == "text_encoder"]
    text = max(encoders, default=TEXT_TOKENS)
    for block, component in enumerate(pipeline.components):
        size = Interval.exactly(component.parameters * width)
        needs.append(Need("weights", (block,), size, "exact", home=home))
        if work is not None and work.activity == "denoise":
            from ullage.memory.forward.diffusion import component_bytes

            temporary = component_bytes(component, work.batch, *work.image_size, text, width)
            needs.append(Need("activations", (block,), temporary, "assumed", "max", note=component.name))
    return tuple(needs)
