"""Dense feed-forward parts and experts, as a family's row describes them."""

from __future__ import annotations

from ullage.facts.architecture import Dense, Experts
from ullage.facts.families.family import Family, FeedForward, Routed, Shape, Shared
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import Weights, expert_weights, linear, single
from ullage.facts.families.switch import holds


def feed_forward(
    fields: Fields, family: Family, hidden: int, shape: Shape
) -> tuple[Dense | Experts | None, Weights]:
    """The feed-forward part of a layer of this shape."""
    if shape.part == "sparse" and family.experts is not None:
        return _experts(fields, family.experts, family.dense, hidden)
    if shape.part == "dense" and family.dense is not None:
        return _dense(fields, family.dense, hidden, shape.width)
    return None, ()


def _dense(fields: Fields, row: FeedForward, hidden: int, width: int | None) -> tuple[Dense, Weights]:
    width = width or _width(fields, row, hidden)
    return Dense(width, row.gated, row.gated and len(row.first) == 1), _dense_weights(
        fields, row, hidden, width
    )


def _width(fields: Fields, row: FeedForward, hidden: int) -> int:
    if row.times:
        times = row.times if isinstance(row.times, int) else fields.size(row.times)
        return fields.optional(*row.width) or times * hidden
    width = fields.size(*row.width)
    return width if row.fitted is None else row.fitted(fields, width)


def _dense_weights(fields: Fields, row: FeedForward, hidden: int, width: int) -> Weights:
    """First and last projection (gated ones: SwiGLU, GeGLU, arXiv 2002.05202)."""
    bias = holds(row.bias, fields)
    wide = 2 * width if row.gated and len(row.first) == 1 else width
    weights = tuple(w for name in row.first for w in linear(name, wide, hidden, bias))
    return weights + linear(row.last, hidden, width, bias)


def _experts(fields: Fields, row: Routed, dense: FeedForward | None, hidden: int) -> tuple[Experts, Weights]:
    count, active = fields.level(*row.total), fields.level(*row.active)
    width = fields.size(*row.width)
    latent = (fields.optional(row.latent[0]) if row.latent else None) or 0
    read = latent or hidden
    weights = expert_weights(read, count, width, row.where, row.gated, row.bias, row.transposed)
    if row.latent and latent:
        bias = dense is not None and holds(dense.bias, fields)
        weights += linear(row.latent[1], latent, hidden, bias) + linear(row.latent[2], hidden, latent, bias)
    weights += single(f"{row.router}.weight", (count, hidden), row.router_role)
    if row.router_bias:
        weights += single(f"{row.router}.bias", (count,), "bias")
    if row.scales is not None:
        weights += single(row.scales[0], (hidden,), "router") + single(row.scales[1], (count,), "router")
    if row.correction is not None:
        name, before = row.correction
        weights += single(name, (*before, count), "router")
    shared, fused = 0, False
    if row.shared is not None:
        shared, more = _shared(fields, row.shared, hidden, width)
        weights += more
        fused = row.shared.part.gated and len(row.shared.part.first) == 1
    elif row.beside and dense is not None:
        shared = _width(fields, dense, hidden)
        fused = dense.gated and len(dense.first) == 1
        weights += _dense_weights(fields, dense, hidden, shared)
    return Experts(count, active, width, row.gated, shared, fused, latent, row.narrow), weights


def _shared(fields: Fields, row: Shared, hidden: int, routed: int) -> tuple[int, Weights]:
    """Width and weights of what every token uses."""
    width = fields.optional(*row.part.width) if row.part.width else routed
    width = width or 0
    if row.times:
        width *= fields.count(*row.times)
    if not width:
        return 0, ()
    weights = _dense_weights(fields, row.part, hidden, width)
    return width, weights + (linear(row.gate, 1, hidden) if row.gate else ())
