"""Attention over stored keys and values, on symbols, as transformers (5.19) writes it."""

from __future__ import annotations

from ullage.facts.architecture import Attention
from ullage.facts.flow import Flow
from ullage.memory.training import operations as op
from ullage.memory.training.autograd import Meter, Symbol
from ullage.memory.training.code import Code
from ullage.memory.training.linear import linear
from ullage.memory.training.norms import normed


def attention(m: Meter, code: Code, mixer: Attention, x: Symbol) -> Symbol:
    """Attention's output."""
    flow = code.layer.flow
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
        return (_scored if code.kernel == "eager" else _plain)(m, code, mixer, q, k, v)
    given: list[Symbol] = []
    if code.masked and code.kernel != "flash":
        k, v = op.repeated(m, k, times), op.repeated(m, v, times)
        given.append(m.new(code.batch * code.tokens**2, q.width))
    return op.fused_attention(m, q, k, v, rows * mixer.value_dim, rows, given)


def _scored(m: Meter, code: Code, mixer: Attention, q: Symbol, k: Symbol, v: Symbol) -> Symbol:
    """Scores of every query with every key: scaled, capped, masked, their softmax and its copy."""
    scores = code.batch * mixer.heads * code.tokens**2
    width = q.width
    found = op.scaled(m, op.matrix_product(m, q, k, scores))
    if code.layer.flow.soft_capped:
        found = op.scaled(m, found)
        found = op.kept_result(m, found, found.width)  # tanh
        found = op.scaled(m, found)
    found = op.shifted(m, found)
    full = op.FULL if code.layer.flow.softmax == "fp32" or m.autocast else width
    weights = op.cast(m, op.softmax(m, found, full), width)
    del found
    out = op.matrix_product(m, weights, v, code.rows * mixer.heads * mixer.value_dim)
    return op.copied(m, out)


def _plain(m: Meter, code: Code, mixer: Attention, q: Symbol, k: Symbol, v: Symbol) -> Symbol:
    """torch's own sdpa without a kernel: in fp32, queries and keys each scaled, with a mask of its own where
    it is given none (`_scaled_dot_product_attention_math`, ATen/native/transformers/attention.cpp)."""
    scores, width = code.batch * mixer.heads * code.tokens**2, q.width
    full = [op.cast(m, each, op.FULL) for each in (q, k, v)]
    first, second = op.scaled(m, full[0]), op.scaled(m, full[1])
    mask = m.new(code.tokens**2, op.FULL)
    m.touch(code.tokens**2)
    found = op.shifted(m, op.matrix_product(m, first, second, scores, op.FULL))
    chances = op.softmax(m, found, op.FULL)
    del found, mask
    m.touch(scores * width)  # the weights that it returns, which nothing holds
    out = op.matrix_product(m, chances, full[2], code.rows * mixer.heads * mixer.value_dim, op.FULL)
    return op.cast(m, out, width)
