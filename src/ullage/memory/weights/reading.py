"""What one forward pass reads of a model's weights, block by block."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ullage.facts.architecture import Architecture, Experts, Layer
from ullage.facts.quantization.scheme import Dequantized
from ullage.memory.needs import RECENT
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.schemes import quantizes
from ullage.memory.weights.tensors import block_bytes, distinct_layers, head_weights

UNPACKED: Final = 2
"""Times a matrix goes by in the compute dtype where it is dequantized whole: written, and read again."""


@lru_cache(maxsize=RECENT)
def read_weights(
    architecture: Architecture, precision: ResolvedPrecision, positions: int, unpacks: bool = False
) -> tuple[float, ...]:
    """Bytes of each block (embeddings, layers, head) that go by in a pass over `positions` positions.

    Of embeddings a row a position is read, which counts for nothing; tied ones are the head's. `unpacks`: the
    engine dequantizes whole matrices where the scheme's product does.
    """
    found = [0.0] * (len(architecture.layers) + 2)
    for layer, blocks in distinct_layers(architecture):
        size = _layer_bytes(layer, precision, positions)
        if unpacks:
            size += _unpacked(layer, precision, positions)
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


def _unpacked(layer: Layer, precision: ResolvedPrecision, positions: int) -> int:
    product = None if precision.scheme is None else precision.scheme.product
    if not isinstance(product, Dequantized) or positions < product.rows:
        return 0
    elements = sum(each.elements for each in layer.weights if quantizes(each, precision))
    return UNPACKED * elements * precision.element_bytes


def chosen_experts(experts: Experts, positions: int) -> float:
    """How many of them some of `positions` positions are expected to choose, each choosing its own at random
    and all equally often: count x (1 - (1 - active / count)^positions)."""
    return experts.count * (1 - (1 - experts.active / experts.count) ** positions)
