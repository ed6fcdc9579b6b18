"""Bytes of a model's weights, block by block: embeddings, layers, final norm with the head."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ullage.facts.architecture import Architecture, Layer, Weight
from ullage.memory.allocator.loading import Allocation, allocate
from ullage.memory.weights.beside import adapter_sizes
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.schemes import quantizes, stored_tensors


class BlockBytes(NamedTuple):
    """Bytes of one block, of its largest stored tensor, and of its largest dequantized linear."""

    bytes: int
    largest: int
    largest_linear: int


def embedding_weights(architecture: Architecture) -> tuple[Weight, ...]:
    """Block 0: the token embedding and, where there is one, the vision tower."""
    vision = architecture.vision.weights if architecture.vision is not None else ()
    return vision + architecture.embeddings


def head_weights(architecture: Architecture) -> tuple[Weight, ...]:
    """Block L+1: the final norm and the output layer, unless that is tied."""
    return architecture.final + architecture.head


@lru_cache(maxsize=4096)
def distinct_layers(architecture: Architecture) -> tuple[tuple[Layer, tuple[int, ...]], ...]:
    """Each distinct layer with the blocks (1..L) it stands at."""
    places: dict[int, tuple[Layer, list[int]]] = {}
    for index, layer in enumerate(architecture.layers):
        places.setdefault(id(layer), (layer, []))[1].append(index + 1)
    return tuple((layer, tuple(blocks)) for layer, blocks in places.values())


@lru_cache(maxsize=4096)
def weights_by_blocks(architecture: Architecture) -> tuple[tuple[tuple[Weight, ...], tuple[int, ...]], ...]:
    """Weights of each distinct layer, of block 0 and of block L+1, with the blocks that hold them."""
    last = len(architecture.layers) + 1
    layers = ((layer.weights, blocks) for layer, blocks in distinct_layers(architecture))
    return (*layers, (embedding_weights(architecture), (0,)), (head_weights(architecture), (last,)))


@lru_cache(maxsize=4096)
def block_bytes(weights: tuple[Weight, ...], precision: ResolvedPrecision) -> BlockBytes:
    """Sum and maxima over the tensors that `weights` become under `precision`."""
    total = largest = linear = 0
    for weight in weights:
        sizes = stored_tensors(weight, precision)
        total += sum(sizes)
        largest = max(largest, *sizes)
        if quantizes(weight, precision):
            linear = max(linear, weight.elements)
    return BlockBytes(total, largest, linear)


@lru_cache(maxsize=1024)
def weights_allocation(
    architecture: Architecture, precision: ResolvedPrecision, warmed: bool = False
) -> Allocation:
    """What the caching allocator counts when all weights are loaded on one device.

    Within a block tensors load in the order of their names, as safetensors files list them. `warmed`: before
    the first, all their bytes are asked for at once, as transformers has done since 4.51
    (`caching_allocator_warmup`, modeling_utils.py); blocks then hold less beside their tensors.
    """
    per_layer = {id(layer): _sizes(layer.weights, precision) for layer, _ in distinct_layers(architecture)}
    sizes = _sizes(embedding_weights(architecture), precision)
    for layer in architecture.layers:
        sizes += per_layer[id(layer)]
    sizes += _sizes(head_weights(architecture), precision)
    if architecture.adapter is not None:
        sizes += adapter_sizes(architecture.adapter, precision)
    return allocate(sizes, sum(sizes) if warmed else 0)


def _sizes(weights: tuple[Weight, ...], precision: ResolvedPrecision) -> list[int]:
    ordered = sorted(weights, key=lambda weight: weight.name)
    return [size for weight in ordered for size in stored_tensors(weight, precision)]


def named_tensors(architecture: Architecture, precision: ResolvedPrecision) -> list[tuple[str, int]]:
    """Bytes of each stored tensor in the order in which they load, under the name of its weight."""
    layers = enumerate(architecture.layers)
    parts = [("", embedding_weights(architecture)), *((f"layers.{at}.", each.weights) for at, each in layers)]
    return [
        (f"{where}{weight.name}", size)
        for where, weights in (*parts, ("", head_weights(architecture)))
        for weight in sorted(weights, key=lambda weight: weight.name)
        for size in stored_tensors(weight, precision)
    ]
