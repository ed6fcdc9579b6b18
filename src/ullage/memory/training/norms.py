"""Norms on symbols, as transformers (5.19) writes them."""

from __future__ import annotations

from ullage.memory.training import operations as op
from ullage.memory.training.autograd import Meter, Symbol
from ullage.memory.training.code import Code


def normed(m: Meter, code: Code, x: Symbol, elements: int = 0, heads: int = 1) -> Symbol:
    """A norm with weights of `elements` (the stream's unless given) over so many `heads` a position."""
    kind, rows = code.layer.flow.norm, code.rows * heads
    weight, width = elements or code.hidden, x.width
    if kind == "layer":
        if m.autocast and not m.processor:
            x = op.cast(m, x, op.FULL)
        return op.layer_norm(m, x, weight, code.norm, code.trained, rows)
    h = op.cast(m, x, op.FULL)
    del x
    if kind == "layer-cast":
        h = op.layer_norm(m, h, weight, code.norm, False, rows)
        return op.cast(m, h, width)
    if kind == "layer-fp32":  # what deviates from the mean is computed twice
        h = op.root_mean_square(m, op.shifted(m, h), rows, op.shifted(m, h))
    else:
        h = op.root_mean_square(m, h, rows)
    if kind == "rms":
        h = op.cast(m, h, width)
    if kind != "rms-bare":
        h = op.weighed(m, h, weight, code.norm, code.trained)
    return h if kind == "rms" else op.cast(m, h, width)
