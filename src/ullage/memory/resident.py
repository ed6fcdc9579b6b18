"""What a role needs by being loaded: weights, the allocator's rounding of them, kept caches."""

from __future__ import annotations

from functools import lru_cache

from ullage.facts.architecture import Architecture
from ullage.memory.allocator.sizes import growing_remainder
from ullage.memory.forward.cache import CacheShape, layer_cache
from ullage.memory.forward.matmul import dequantization_buffer
from ullage.memory.loaded import Loaded
from ullage.memory.needs import Basis, Group, Home, Need, group_of
from ullage.memory.traced import Traced, kept_needs
from ullage.memory.weights.beside import adapter_weights
from ullage.memory.weights.loading import BUFFERS
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import (
    block_bytes,
    distinct_layers,
    weights_allocation,
    weights_by_blocks,
)
from ullage.phases.phase import Where
from ullage.spec.role import Cache
from ullage.units import Interval


def resident_groups(
    loaded: Loaded,
    where: Where,
    cached_batch: int = 0,
    cached_tokens: int = 0,
    traced: Traced | None = None,
) -> tuple[Group, ...]:
    """Weights where the role's residency puts them, and the caches it keeps while idle, as they were
    `traced` if they were."""
    on_processor = loaded.processor
    weights = _weights(loaded.architecture, loaded.precision, where, on_processor)
    if where != "device" or not cached_batch or not cached_tokens:
        return (weights,)
    if traced is not None:
        return weights, group_of(kept_needs(traced, len(loaded.architecture.layers)), on_processor, None)
    shape = CacheShape(cached_batch, cached_tokens, 1, cached_tokens)
    width = loaded.precision.element_bytes
    needs = cache_needs(loaded.architecture, loaded.cache, width, shape)
    return weights, group_of(needs, on_processor, None)


@lru_cache(maxsize=1024)
def _weights(
    architecture: Architecture, precision: ResolvedPrecision, where: Where, on_processor: bool
) -> Group:
    return group_of(_weight_needs(architecture, precision, where, on_processor), on_processor, None)


def _weight_needs(
    architecture: Architecture, precision: ResolvedPrecision, where: Where, on_processor: bool
) -> tuple[Need, ...]:
    home = home_of(where)
    basis: Basis = "exact" if precision.scheme is None else "derived"
    needs = []
    linear = 0
    for weights, blocks in weights_by_blocks(architecture):
        sizes = block_bytes(weights, precision)
        linear = max(linear, sizes.largest_linear)
        each = Interval.exactly(sizes.bytes)
        waits = precision.keeps_waiting and home == "gpu"
        needs.append(Need("weights", blocks, each, basis, "here" if waits else "sum", home=home))
        if waits:
            whole = Interval.exactly(block_bytes(weights, precision.unquantized).bytes)
            needs.append(Need("weights", blocks, whole, basis, "away", note="not quantized where it waits"))
    if architecture.adapter is not None:
        needs += adapter_weights(architecture.adapter, precision, home)
    if home != "gpu":
        if home == "host":
            note = "tables that wait with the weights"
            needs.append(Need("workspace", (0,), Interval(0, 0, BUFFERS), "derived", home=home, note=note))
        return tuple(needs)
    allocation = weights_allocation(architecture, precision)
    count = len(architecture.layers) + 2
    every = tuple(range(count))
    if on_processor:
        note = "tables beside the weights"
        needs.append(Need("workspace", (0,), Interval(0, 0, BUFFERS), "derived", note=note))
    kept = allocation.allocated - allocation.requested
    share, rest = divmod(kept, count)
    note = "blocks of the caching allocator are larger than the weights in them"
    needs.append(Need("rounding", every, Interval(0, share, 2 * share), "derived", note=note))
    needs.append(Need("rounding", (0,), Interval(0, rest, 2 * rest), "derived"))
    reserved = max(allocation.reserved, weights_allocation(architecture, precision, warmed=True).reserved)
    spare = (reserved - allocation.allocated) // count
    unused = Interval(0, spare, 2 * spare)
    needs.append(Need("fragmentation", every, unused, "derived", level="reserved"))
    buffer = dequantization_buffer(linear, precision)
    if buffer:
        each = Interval(0, buffer, buffer)
        note = "16-bit buffer of the 4-bit kernels"
        needs.append(Need("workspace", every, each, "derived", "once", note=note))
    return tuple(needs)


def home_of(where: Where) -> Home:
    """Where weights lie that a role has `where`."""
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
