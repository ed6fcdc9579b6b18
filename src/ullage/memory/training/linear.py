"""Linear layers with gradients: frozen, trained, quantized, with low-rank adapters beside them.

Sources: peft 0.21 (tuners/lora/layer.py, bnb.py), bitsandbytes 0.50 (autograd/_functions.py), torch 2.13.
"""

from __future__ import annotations

from typing import NamedTuple

from ullage.memory.training.autograd import Meter, Symbol, rooted
from ullage.memory.training.operations import (
    added,
    cast,
    copied,
    dropped,
    scaled,
)


class Matrix(NamedTuple):
    """One linear layer: `width` bytes a stored element, with `quantized` in 8 or 4 bits and `compute` bytes
    an element of what they are turned into. `trained` itself, with a `bias`; or beside an adapter of `rank`
    (`adapter` bytes an element), before which a share is `drops` dropped. `keeps`: its input is kept
    whoever asks for a gradient."""

    inputs: int
    outputs: int
    width: int
    trained: bool
    bias: bool = False
    quantized: int = 0
    compute: int = 0
    rank: int = 0
    adapter: int = 0
    drops: bool = False
    keeps: bool = False


def linear(m: Meter, x: Symbol, matrix: Matrix) -> Symbol:
    """A linear layer and what stands beside it."""
    out = _quantized(m, x, matrix) if matrix.quantized else _product(m, x, matrix)
    if not matrix.rank:
        return out
    wide = out.width
    if matrix.quantized == 4:
        out = copied(m, out)
    # peft asks torch.is_autocast_enabled(), which is of cards alone.
    converts = not matrix.quantized or not m.autocast or m.processor
    if converts:
        x = cast(m, x, matrix.adapter)
    if matrix.drops:
        x = dropped(m, x)
    down = Matrix(matrix.inputs, matrix.rank, matrix.adapter, True)
    up = Matrix(matrix.rank, matrix.outputs, matrix.adapter, True)
    beside = scaled(m, _product(m, _product(m, x, down), up))
    if matrix.quantized and converts:
        beside = cast(m, beside, wide)
    out = added(m, out, beside)
    del beside
    return out if matrix.quantized else cast(m, out, wide)


def _product(m: Meter, x: Symbol, matrix: Matrix) -> Symbol:
    """F.linear: keeps its input where its weight is trained; under autocast both are cast first, and the
    weight's copy is kept for the input's gradient."""
    width = m.autocast or matrix.width
    x = cast(m, x, width)
    rows = x.elements // matrix.inputs
    size, stored, trained = matrix.inputs * matrix.outputs, matrix.width, matrix.trained
    weight = _cast_weight(m, matrix, size, width)
    needed = x.node is not None

    def back(g: Symbol) -> list[Symbol | None]:
        found = m.new(rows * matrix.inputs, width) if needed else None
        if trained:
            gradient = m.new(size, width)
            if matrix.bias:
                m.gradients.append(cast(m, m.new(matrix.outputs, width), stored))
            m.gradients.append(cast(m, gradient, stored))
        return [found]

    if trained and not needed:
        x = rooted(m, x)
    saves = [x] if trained or matrix.keeps else []
    if weight is not None and needed:
        saves.append(weight)
    return m.made(rows * matrix.outputs, width, [x], back, saves)


def _cast_weight(m: Meter, matrix: Matrix, size: int, width: int) -> Symbol | None:
    """What autocast makes of a weight of another width; the copy of a trained one is made once, and kept
    until the pass is over."""
    if matrix.width == width:
        return None
    copy = m.new(size, width)
    if matrix.trained:
        m.casts.append(copy)
    return copy


def _quantized(m: Meter, x: Symbol, matrix: Matrix) -> Symbol:
    """bitsandbytes: the input in the compute dtype, the result in the input's; no input is kept by 4-bit
    layers, and by 8-bit ones until the loss is gone (attributes of their context hold it)."""
    before, width = x.width, matrix.compute
    x = cast(m, x, width)
    rows, size = x.elements // matrix.inputs, matrix.inputs * matrix.outputs
    needed = x.node is not None
    if not m.processor:  # the whole weight, or the input in fp16 and 8 bits with its int32 product
        eight = rows * (3 * matrix.inputs + 4 * matrix.outputs)
        m.touch(eight if matrix.quantized == 8 else size * width)

    def back(g: Symbol) -> list[Symbol | None]:
        if not needed:
            return [None]
        weight = m.new(size, width)
        found = m.new(rows * matrix.inputs, width)
        del weight
        return [found]

    out = m.made(rows * matrix.outputs, width, [x], back, [x] if matrix.quantized == 8 else [])
    del x
    return cast(m, out, before)
