"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434) on symbols, as transformers 5.19 writes it."""

from __future__ import annotations

from ullage.facts.architecture import Attention, LatentAttention
from ullage.memory.training import operations as op
from ullage.memory.training.attention import attended
from ullage.memory.training.autograd import Meter, Symbol
from ullage.memory.training.code import Code
from ullage.memory.training.linear import linear
from ullage.memory.training.norms import normed
from ullage.memory.training.places import laid, split, spread


def latent(m: Meter, code: Code, mixer: LatentAttention, x: Symbol) -> Symbol:
    """Queries through their latent where they have one, all positions' keys and values out of theirs."""
    *queries, down, up, last = code.attention
    heads, each = code.rows * mixer.heads, mixer.nope_dim + mixer.rope_dim
    q = linear(m, x, queries[0])
    if len(queries) > 1:
        q = linear(m, normed(m, code, q, queries[0].outputs), queries[1])
    plain, turning = split(m, q, (heads * mixer.nope_dim, heads * mixer.rope_dim))
    both = linear(m, x, down)
    held, turned = split(m, both, (code.rows * mixer.kv_rank, code.rows * mixer.rope_dim))
    held = normed(m, code, held, mixer.kv_rank)
    turning, turned = _rotated(m, turning), _rotated(m, turned)
    query = op.joined(m, [plain, turning])
    lifted = linear(m, held, up)
    keys, values = split(m, lifted, (heads * mixer.nope_dim, heads * mixer.value_dim))
    key = m.new(heads * each, lifted.width)
    key = laid(m, key, keys)
    key = laid(m, key, spread(m, turned, heads * mixer.rope_dim))
    shape = Attention("full", mixer.heads, mixer.heads, each, mixer.value_dim)
    out = op.copied(m, attended(m, code, shape, query, key, values))
    del q, both, lifted, plain, turning, held, turned, keys, values, query, key
    return linear(m, out, last)


def _rotated(m: Meter, x: Symbol) -> Symbol:
    """Pairs of neighbours turned: even and odd elements, each by cosine and sine, then joined."""
    half = x.elements // 2
    first, second = op.part(m, x, half), op.part(m, x, x.elements - half)
    one = op.added(m, op.scaled(m, first), op.scaled(m, second))
    other = op.added(m, op.scaled(m, second), op.scaled(m, first))
    return op.joined(m, [one, other])
