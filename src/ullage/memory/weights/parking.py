"""What a role's weights take while they are ready, while they load, and parked in host memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ullage.facts.architecture import Architecture, Weight
from ullage.memory.weights.beside import WIDEST
from ullage.memory.weights.loading import BUFFERS, load_bytes, tied_head_bytes
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.schemes import stored_tensors
from ullage.memory.weights.tensors import embedding_weights, head_weights

HOST: Final = "host"
PROCESSOR: Final = "cpu"
ALIGNED: Final = 512
"""Bytes at whose multiples each tensor begins where all are moved as one run of bytes."""


@dataclass(frozen=True, slots=True)
class Parking:
    """Bytes at most: `sizes` by device while it is ready, `load_peaks` by device and of host memory at any
    instant of a load from disk (itself included), `parked` of host memory (0: it cannot be parked)."""

    sizes: Mapping[str, int]
    load_peaks: Mapping[str, int]
    parked: int


def parking(architecture: Architecture, precision: ResolvedPrecision, blocks: Sequence[str]) -> Parking:
    """Of a model whose block i (embedding, layers, head) is on device `blocks[i]`.

    A tensor takes its bytes rounded up to ALIGNED, tables beside them BUFFERS a device. While it loads there
    is what `load_bytes` says on top, on a card's host too, where tensors are cast on their way. On a
    processor device and host are one memory: what is parked is what was ready, and nothing is copied; each
    counts it in a budget of its own. A model of which a part waits in host memory or on disk is not parked.
    """
    parts = (embedding_weights(architecture), *(layer.weights for layer in architecture.layers))
    sizes: dict[str, int] = {}
    for device, weights in zip(blocks, (*parts, head_weights(architecture)), strict=True):
        sizes[device] = sizes.get(device, 0) + _bytes(weights, precision)
    if architecture.adapter is not None:
        adapter = architecture.adapter
        width = precision.element_bytes if precision.scheme is None else WIDEST
        rounding = 2 * len(adapter.parts) * ALIGNED
        sizes[blocks[0]] += adapter.elements * width + rounding
    sizes = {device: size + BUFFERS for device, size in sizes.items()}
    alone = set(sizes) == {PROCESSOR}
    tied = tied_head_bytes(architecture, precision)
    extra = load_bytes(architecture, precision, not alone).high
    peaks = {device: size + extra + tied for device, size in sizes.items()}
    peaks[HOST] = 0 if alone else load_bytes(architecture, precision, False).high
    split = not alone and bool({PROCESSOR, "disk"} & set(sizes))
    return Parking(sizes, peaks, 0 if split else sum(sizes.values()))


def _bytes(weights: Sequence[Weight], precision: ResolvedPrecision) -> int:
    tensors = (size for weight in weights for size in stored_tensors(weight, precision))
    return sum(-(-size // ALIGNED) * ALIGNED for size in tensors)
