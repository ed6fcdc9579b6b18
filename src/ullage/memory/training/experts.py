"""Experts that tokens choose, on symbols, as transformers (5.19) writes them (integrations/moe.py)."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Experts
from ullage.memory.training import operations as op
from ullage.memory.training.autograd import Meter, Symbol
from ullage.memory.training.code import Code
from ullage.memory.training.feed_forward import gated
from ullage.memory.training.linear import linear
from ullage.memory.training.places import gathered, selected, split, summed
from ullage.memory.training.routing import Mixture, grouped

NUMBER: Final = 8
"""Bytes of the number of an expert or of a row."""


def mixture(m: Meter, code: Code, part: Experts, mix: Mixture, x: Symbol) -> Symbol:
    """A mixture's output: chosen experts, and what every token uses, before them or after."""
    first = code.layer.flow.shared_first
    shared = gated(m, x, mix.shared) if mix.shared and first else None
    weights, logits, places = _weights(m, code, part, mix, x)
    out = _chosen(m, code, part, mix, x, weights)
    if shared is None and mix.shared:
        shared = gated(m, x, mix.shared)
    if shared is None:
        return out
    if mix.gate is not None:
        share = linear(m, x, mix.gate)
        shared = op.proportioned(m, shared, op.kept_result(m, share, share.width))
    del logits, places
    return op.added(m, out, shared)


def _weights(m: Meter, code: Code, part: Experts, mix: Mixture, x: Symbol) -> tuple[Symbol, Symbol, Symbol]:
    """Weights of what each token chose, with the router's logits and the numbers of what was chosen, which
    live as long."""
    chosen = code.rows * part.active
    places = m.new(chosen, NUMBER)
    router = mix.router
    if code.layer.flow.router == "sigmoid":
        x = op.cast(m, x, op.FULL)
        logits = linear(m, x, router if m.autocast else router._replace(width=op.FULL))
        chances = op.kept_result(m, logits, logits.width)  # a sigmoid
        found = op.normalized(m, selected(m, chances, chosen, places), code.rows)
        return op.scaled(m, found), logits, places
    logits = linear(m, x, router)
    chances = op.softmax(m, logits, op.FULL)
    found = op.normalized(m, selected(m, chances, chosen, places), code.rows)
    if part.narrow:
        found = op.cast(m, found, logits.width)
    return found, logits, places


def _chosen(m: Meter, code: Code, part: Experts, mix: Mixture, x: Symbol, weights: Symbol) -> Symbol:
    """Each token once for every expert that it chose, sorted by expert; what those give, weighed, in the old
    order, and summed."""
    width, rows = x.width, code.rows * part.active
    order = m.new(3 * rows, NUMBER)  # sorted numbers, where they stood, and the rows that they are of
    taken = gathered(m, x, rows * mix.first.inputs, order)
    weights = gathered(m, weights, rows, order)
    h = grouped(m, taken, mix.first)
    h = _gated(m, h, rows * part.intermediate)
    h = grouped(m, h, mix.last)
    out = op.proportioned(m, h, weights)
    back = m.new(rows, NUMBER)
    out = gathered(m, out, out.elements, back)
    found = op.cast(m, summed(m, out, x.elements), width)
    del taken, h
    return found


def _gated(m: Meter, both: Symbol, size: int) -> Symbol:
    gate, up = split(m, both, (size, size))
    return op.product(m, op.pointwise(m, gate), up)
