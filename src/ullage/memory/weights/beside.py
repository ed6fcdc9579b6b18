"""What an unmerged adapter takes beside its base: its weights, and what its products pass through."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ullage.facts.adapter import Adapter
from ullage.facts.architecture import Architecture
from ullage.memory.forward.attention import QUADRATIC
from ullage.memory.forward.one_pass import Pass
from ullage.memory.needs import Home, Need
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.units import Interval

WIDEST: Final = 4
"""Bytes of an element of an adapter beside quantized weights, where it keeps the dtype of its file."""


@lru_cache(maxsize=256)
def adapter_blocks(adapter: Adapter) -> Mapping[int, tuple[int, ...]]:
    """Blocks by how many elements the adapter has in each."""
    held: dict[int, int] = {}
    for part in adapter.parts:
        held[part.block] = held.get(part.block, 0) + part.elements
    found: dict[int, tuple[int, ...]] = {}
    for block in sorted(held):
        found[held[block]] = (*found.get(held[block], ()), block)
    return found


def adapter_weights(adapter: Adapter, precision: ResolvedPrecision, home: Home) -> list[Need]:
    """The adapter's own weights, in the dtype that its base computes in.

    transformers makes them in the dtype of the weight beside them; a quantized one has none to give.
    """
    width = precision.element_bytes
    widest = width if precision.scheme is None else WIDEST
    return [
        Need(
            "weights",
            blocks,
            Interval(elements * width, elements * width, elements * widest),
            "exact" if precision.scheme is None else "derived",
            home=home,
            note="adapter",
        )
        for elements, blocks in adapter_blocks(adapter).items()
    ]


def adapter_sizes(adapter: Adapter, precision: ResolvedPrecision) -> list[int]:
    """Bytes of each of its tensors."""
    width = precision.element_bytes
    return [part.rank * side * width for part in adapter.parts for side in (part.inside, part.outside)]


def adapter_temporaries(
    adapter: Adapter, architecture: Architecture, one_pass: Pass, precision: ResolvedPrecision
) -> Need:
    """What a layer holds more at once, by peft's `result + lora_B(lora_A(x)) * scaling`.

    Beside a weight's product there is the adapter's, and it scaled or the sum: at most two more. Of a llama's
    pass in torch 2.13 it was one more where the widest weights have an adapter, and nothing where they have
    none or attention's scores are the most.
    """
    rows = one_pass.rows
    width = precision.element_bytes if precision.scheme is None else WIDEST
    outside = max(part.outside for part in adapter.parts)
    most = rows * width * (2 * outside + max(part.rank for part in adapter.parts))
    if precision.scheme is not None:  # what goes in is cast to the adapter's dtype
        most += rows * width * max(part.inside for part in adapter.parts)
    widest = outside >= _widest(architecture) and one_pass.kernel not in QUADRATIC
    size = Interval(0, rows * width * outside if widest else 0, most)
    blocks = tuple(sorted({part.block for part in adapter.parts}))
    return Need("activations", blocks, size, "derived", "once", note="adapter")


@lru_cache(maxsize=256)
def _widest(architecture: Architecture) -> int:
    """Elements a position has after the widest linear layer."""
    linear = (each for layer in architecture.layers for each in layer.weights if each.role == "linear")
    return max((weight.shape[0] for weight in linear), default=0)


def adapter_load(adapter: Adapter) -> int:
    """Bytes that stand there at most while it is read: its matrices are drawn by chance before they are."""
    return 2 * WIDEST * adapter.elements
