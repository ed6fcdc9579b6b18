"""A decoder layer's statements on symbols, as transformers (5.19) writes them; families differ by `Flow`.

Only tensors that live until the way back, or are among a moment's largest, are told apart: with gradients
most of what a forward pass makes is kept anyway.
"""

from __future__ import annotations

from collections.abc import Callable

from ullage.facts.architecture import Attention, Dense, Experts, LatentAttention
from ullage.memory.training import operations as op
from ullage.memory.training.attention import attention
from ullage.memory.training.autograd import Meter, Symbol
from ullage.memory.training.code import Code
from ullage.memory.training.experts import mixture
from ullage.memory.training.feed_forward import dense
from ullage.memory.training.latent import latent
from ullage.memory.training.norms import normed


def run(m: Meter, code: Code, x: Symbol) -> Symbol:
    """The layer's output of its input."""
    order = code.layer.flow.order
    if order == "parallel":
        return _parallel(m, code, x)
    if order == "added":
        x = normed(m, code, op.added(m, mixed(m, code, x), x))
        return normed(m, code, op.added(m, fed(m, code, x), x))
    if code.layer.mixer is not None:
        x = _part(m, code, x, mixed)
    if code.layer.feed_forward is not None:
        x = _part(m, code, x, fed)
    return x


def _part(m: Meter, code: Code, x: Symbol, run_part: Callable[[Meter, Code, Symbol], Symbol]) -> Symbol:
    """What a part gives, normed before it, after it or both, is added to what went in."""
    order, h = code.layer.flow.order, x
    if order in ("pre", "sandwich"):
        h = normed(m, code, h)
    h = run_part(m, code, h)
    if order in ("post", "sandwich"):
        h = normed(m, code, h)
    return op.added(m, x, h)


def _parallel(m: Meter, code: Code, x: Symbol) -> Symbol:
    """Both parts read the layer's input; two norms where the layer has two."""
    norms = sum(weight.role == "norm" and "layernorm" in weight.name for weight in code.layer.weights)
    h = normed(m, code, x)
    first = mixed(m, code, h)
    if norms > 1:
        h = normed(m, code, x)
    second = fed(m, code, h)
    del h
    return op.added(m, op.added(m, first, second), x)


def mixed(m: Meter, code: Code, x: Symbol) -> Symbol:
    """A mixer's output."""
    mixer = code.layer.mixer
    if code.attention and isinstance(mixer, LatentAttention):
        return latent(m, code, mixer, x)
    if code.attention and isinstance(mixer, Attention):
        return attention(m, code, mixer, x)
    return opaque(m, code, x, 0)


def fed(m: Meter, code: Code, x: Symbol) -> Symbol:
    """A feed-forward part's output."""
    part = code.layer.feed_forward
    if code.dense and isinstance(part, Dense):
        return dense(m, code, part, x)
    if code.mixture is not None and isinstance(part, Experts):
        return mixture(m, code, part, code.mixture, x)
    return opaque(m, code, x, 1)


def opaque(m: Meter, code: Code, x: Symbol, which: int) -> Symbol:
    """A part of which only the sum of what it keeps is known."""
    kept, weights = code.opaque[which], code.weights[which]
    elements, width, norm = x.elements, x.width, code.norm

    def back(g: Symbol) -> list[Symbol | None]:
        m.touch(kept // 2)
        if weights:
            m.gradients.append(m.new(weights, norm))
        return [m.new(elements, width)]

    return m.made(elements, width, [x], back, [m.new(kept, 1)])
