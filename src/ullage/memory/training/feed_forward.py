"""Dense feed-forward parts on symbols, as transformers (5.19) writes them."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.facts.architecture import Dense
from ullage.memory.training import operations as op
from ullage.memory.training.autograd import Meter, Symbol
from ullage.memory.training.code import Code
from ullage.memory.training.linear import Matrix, linear


def dense(m: Meter, code: Code, part: Dense, x: Symbol) -> Symbol:
    """A dense part's output."""
    if not part.gated:
        h = linear(m, x, code.dense[0])
        temporaries, _ = code.layer.flow.activation
        h = op.pointwise(m, h, temporaries)
        return linear(m, h, code.dense[-1])
    if not part.fused:
        return gated(m, x, code.dense)
    size = code.rows * part.intermediate
    gate, up = op.chunked(m, linear(m, x, code.dense[0]), (size, size))
    gate = op.pointwise(m, gate)
    h = op.product(m, gate, up)
    del gate, up
    return linear(m, h, code.dense[-1])


def gated(m: Meter, x: Symbol, matrices: Sequence[Matrix]) -> Symbol:
    """down(act(gate(x)) * up(x)) of the three matrices."""
    gate = linear(m, x, matrices[0])
    gate = op.pointwise(m, gate)
    up = linear(m, x, matrices[1])
    h = op.product(m, gate, up)
    del gate, up
    return linear(m, h, matrices[2])
