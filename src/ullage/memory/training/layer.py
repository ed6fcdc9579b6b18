"""A decoder layer's statements on symbols, as transformers (5.19) writes them; families differ by `Flow`.

Only tensors that live until the way back, or are among a moment's largest, are told apart: with gradients
most of what a forward pass makes is kept anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ullage.facts.architecture import Attention, Dense, Layer
from ullage.facts.flow import Flow
from ullage.memory.training import operations as op
from ullage.memory.training.autograd import Meter, Symbol
from ullage.memory.training.linear import Matrix, linear


class Code(NamedTuple):
    """One layer's code in one pass: `batch` sequences of `tokens`, attention by `kernel`, with a mask of each
    sequence's own where it is `masked`.

    `attention` are the matrices of a mixer (queries, keys, values and output, or what is fused of them),
    `dense` those of a feed-forward part. `norm` is the width of norms' weights, `trained` says that they are.
    What has no statements here keeps `opaque` bytes of a mixer and of a feed-forward part, whose `weights`
    elements take gradients.
    """

    layer: Layer
    hidden: int
    batch: int
    tokens: int
    kernel: str
    masked: bool
    attention: tuple[Matrix, ...]
    dense: tuple[Matrix, ...]
    norm: int
    trained: bool
    opaque: tuple[int, int] = (0, 0)
    weights: tuple[int, int] = (0, 0)

    @property
    def rows(self) -> int:
        return self.batch * self.tokens


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


def mixed(m: Meter, code: Code, x: Symbol) -> Symbol:
    """A mixer's output."""
    mixer, flow = code.layer.mixer, code.layer.flow
    if not code.attention or not isinstance(mixer, Attention):
        return opaque(m, code, x, 0)
    q, k, v = _projected(m, code, mixer, x)
    if flow.rotary and flow.positions == "none":
        q = rotated(m, flow, q)
        k = rotated(m, flow, k)
    if flow.scales_query or flow.after_rotary == "scales":
        q = op.scaled(m, q)
    if flow.after_rotary == "norms":
        q = normed(m, code, q, mixer.head_dim, mixer.heads)
        k = normed(m, code, k, mixer.head_dim, mixer.kv_heads)
    out = attended(m, code, mixer, q, k, v)
    if flow.rotary and (flow.joins_rotary or flow.rotary < 1):
        out = op.copied(m, out)  # queries that were joined anew lie head by head, and so does what they give
    del q, k, v
    if flow.norms_last:
        out = normed(m, code, out)
    return linear(m, out, code.attention[-1])


def _projected(m: Meter, code: Code, mixer: Attention, x: Symbol) -> tuple[Symbol, Symbol, Symbol]:
    """Queries, keys and values, normed where they are."""
    query = code.rows * mixer.heads * mixer.head_dim
    key, value = (code.rows * mixer.kv_heads * each for each in (mixer.head_dim, mixer.value_dim))
    if len(code.attention) == 2:
        q, k, v = op.chunked(m, linear(m, x, code.attention[0]), (query, key, value))
        return q, k, v
    q, k, v = (linear(m, x, matrix) for matrix in code.attention[:3])
    if mixer.qk_norm and code.layer.flow.after_rotary != "norms":
        flat = code.layer.flow.order == "post"
        heads = (1, 1) if flat else (mixer.heads, mixer.kv_heads)
        q = normed(m, code, q, query // code.rows // heads[0], heads[0])
        k = normed(m, code, k, key // code.rows // heads[1], heads[1])
    return q, k, v


def rotated(m: Meter, flow: Flow, x: Symbol) -> Symbol:
    """x * cos + rotate_half(x) * sin; parts that are not rotated are joined to it anew."""
    turned = int(x.elements * flow.rotary)
    whole, width = x, x.width
    if turned < x.elements or flow.joins_rotary:
        x = op.part(m, whole, turned)
    wide = op.FULL if flow.rotates in ("promoted", "copies", "apart") else 0
    if flow.rotates in ("copies", "apart"):
        x = op.cast(m, x, op.FULL)
    first = op.scaled(m, x, wide)
    half = op.negated(m, op.part(m, x, turned // 2))
    turning = op.joined(m, [half, op.part(m, x, turned - turned // 2)])
    del half
    second = op.scaled(m, turning, wide)
    del turning, x
    out = op.added(m, first, second)
    del first, second
    if whole.elements > turned:
        out = op.joined(m, [out, op.part(m, whole, whole.elements - turned)])
    elif flow.joins_rotary:
        out = op.joined(m, [out])
    return op.cast(m, out, width)


def attended(m: Meter, code: Code, mixer: Attention, q: Symbol, k: Symbol, v: Symbol) -> Symbol:
    """One call of attention; under a mask fused kernels get keys and values of every head, and an additive
    mask of each sequence."""
    if m.autocast:
        q, k, v = (op.cast(m, each, m.autocast) for each in (q, k, v))
    times = mixer.heads // mixer.kv_heads
    rows = code.rows * mixer.heads
    if code.kernel in ("eager", "sdpa-math"):
        k, v = op.repeated(m, k, times), op.repeated(m, v, times)
        return _scored(m, code, mixer, q, k, v)
    given: list[Symbol] = []
    if code.masked and code.kernel != "flash":
        k, v = op.repeated(m, k, times), op.repeated(m, v, times)
        given.append(m.new(code.batch * code.tokens**2, q.width))
    return op.fused_attention(m, q, k, v, rows, given)


def _scored(m: Meter, code: Code, mixer: Attention, q: Symbol, k: Symbol, v: Symbol) -> Symbol:
    """Scores of every query with every key: scaled, capped, masked, their softmax and its copy."""
    scores = code.batch * mixer.heads * code.tokens**2
    width = q.width
    found = op.scaled(m, op.matrix_product(m, q, k, scores))
    if code.layer.flow.soft_capped:
        found = op.scaled(m, found)
        found = op.softmax(m, found, found.width)  # tanh keeps its result too
        found = op.scaled(m, found)
    found = op.shifted(m, found)
    full = op.FULL if code.layer.flow.softmax == "fp32" or m.autocast else width
    weights = op.cast(m, op.softmax(m, found, full), width)
    del found
    out = op.matrix_product(m, weights, v, code.rows * mixer.heads * mixer.value_dim)
    return op.copied(m, out)


def fed(m: Meter, code: Code, x: Symbol) -> Symbol:
    """A feed-forward part's output."""
    part = code.layer.feed_forward
    if not code.dense or not isinstance(part, Dense):
        return opaque(m, code, x, 1)
    if not part.gated:
        h = linear(m, x, code.dense[0])
        temporaries, _ = code.layer.flow.activation
        h = op.pointwise(m, h, temporaries)
        return linear(m, h, code.dense[-1])
    if part.fused:
        size = code.rows * part.intermediate
        gate, up = op.chunked(m, linear(m, x, code.dense[0]), (size, size))
    else:
        gate = linear(m, x, code.dense[0])
        gate = op.pointwise(m, gate)
        up = linear(m, x, code.dense[1])
    if part.fused:
        gate = op.pointwise(m, gate)
    h = op.product(m, gate, up)
    del gate, up
    return linear(m, h, code.dense[-1])


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
