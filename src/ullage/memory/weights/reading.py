"""What one forward pass reads of a model's weights, block by block."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from ullage.facts.architecture import Architecture, Experts, Layer
from ullage.facts.quantization.scheme import Dequantized
from ullage.memory.needs import RECENT
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.schemes import quantizes
from ullage.memory.weights.tensors import block_bytes, distinct_layers, head_weights

MATRICES: Final = 7
"""Of a usual layer, which the host's time of a scheme was measured on: queries, keys, values, output; gate,
up, down."""


@lru_cache(maxsize=RECENT)
def read_weights(
    architecture: Architecture, precision: ResolvedPrecision, positions: int
) -> tuple[float, ...]:
    """Bytes of each block (embeddings, layers, head) that go by in a pass over `positions` positions.

    Of embeddings a row a position is read, which counts for nothing; tied ones are the head's.
    """
    found = [0.0] * (len(architecture.layers) + 2)
    for layer, blocks in distinct_layers(architecture):
        size = _layer_bytes(layer, precision, positions)
        for block in blocks:
            found[block] = size
    head = head_weights(architecture)
    if not architecture.head:
        head += tuple(each for each in architecture.embeddings if each.shape[0] == architecture.vocab_size)
    found[-1] = block_bytes(head, precision).bytes
    return tuple(found)


def _layer_bytes(layer: Layer, precision: ResolvedPrecision, positions: int) -> float:
    whole = block_bytes(layer.weights, precision).bytes
    if not isinstance(layer.feed_forward, Experts):
        return whole
    routed = block_bytes(tuple(each for each in layer.weights if each.routed), precision).bytes
    return whole - routed * (1 - chosen_experts(layer.feed_forward, positions) / layer.feed_forward.count)


class Dequantizing(NamedTuple):
    """What dequantizing matrices comes to: their elements, and the bytes that it moves."""

    elements: int
    moved: int


def dequantizes(precision: ResolvedPrecision, positions: int, fused: int) -> bool:
    """Whether products over `positions` rows turn whole matrices into the compute dtype first, where kernels
    that need not reach up to `fused` rows."""
    product = None if precision.scheme is None else precision.scheme.product
    if not isinstance(product, Dequantized) or positions < product.rows:
        return False
    return not product.fuses or positions > fused


@lru_cache(maxsize=RECENT)
def dequantizing(
    architecture: Architecture, precision: ResolvedPrecision, start: int, stop: int
) -> Dequantizing:
    """Of the blocks from `start` to `stop` of a model whose products dequantize: what is stored is read, and
    the whole matrix written in the compute dtype, and before that as what it is unpacked to."""
    product = None if precision.scheme is None else precision.scheme.product
    written = precision.element_bytes + 2 * (product.unpacked if isinstance(product, Dequantized) else 0)
    elements = moved = 0
    for layer, blocks in distinct_layers(architecture):
        count = sum(start <= block < stop for block in blocks)
        quantized = tuple(each for each in layer.weights if quantizes(each, precision))
        of_layer = sum(each.elements for each in quantized)
        elements += count * of_layer
        moved += count * (block_bytes(quantized, precision).bytes + written * of_layer)
    return Dequantizing(elements, moved)


@lru_cache(maxsize=RECENT)
def quantized_layers(architecture: Architecture, precision: ResolvedPrecision) -> float:
    """How many layers' worth of matrices a scheme's products are for: by their number, for each is started by
    itself; a layer whose experts are quantized counts as one."""
    total = 0.0
    for layer, blocks in distinct_layers(architecture):
        quantized = [each for each in layer.weights if quantizes(each, precision)]
        routed = any(each.routed for each in quantized)
        total += len(blocks) * (1.0 if routed else len(quantized) / MATRICES)
    return total


def chosen_experts(experts: Experts, positions: int) -> float:
    """How many of them some of `positions` positions are expected to choose, each choosing its own at random
    and all equally often: count x (1 - (1 - active / count)^positions)."""
    return experts.count * (1 - (1 - experts.active / experts.count) ** positions)
