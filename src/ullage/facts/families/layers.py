"""The layers of any family, as its row describes them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ullage.errors import UnsupportedError
from ullage.facts.architecture import Attention, LatentAttention, Layer, Recurrent, Weight
from ullage.facts.families.ends import flow_of, norms_of, stream_norm, turned
from ullage.facts.families.experts import feed_forward
from ullage.facts.families.family import Family, HeadNorms, Latent, Norms, Projections, Shape
from ullage.facts.families.fields import Fields
from ullage.facts.families.kinds import shapes_of
from ullage.facts.families.parts import Once, Weights, linear, norm, single
from ullage.facts.families.switch import holds
from ullage.facts.flow import Flow

Mixer = tuple[Attention | LatentAttention | Recurrent | None, Weights]


def layers_of(fields: Fields, family: Family) -> tuple[Layer, ...]:
    """Every layer; equal ones are one object."""
    for name in family.refused:
        if fields.raw(name):
            raise UnsupportedError(
                f"{fields.model}: {name} is not interpreted; only models without it are planned"
            )
    for name in family.needed:
        if fields.raw(name) is False:
            raise fields.wrong(name, False, "true: transformers always has it")
    hidden = fields.width()
    shapes = shapes_of(fields, family)
    flow, norms, once = flow_of(fields, family), norms_of(fields, family), Once()
    layers = [
        once.layer(shape, partial(_layer, fields, family, hidden, shape, flow, norms)) for shape in shapes
    ]
    if family.last is not None:
        layers[-1] = replace(layers[-1], weights=layers[-1].weights + family.last(fields, hidden))
    return tuple(layers)


def _layer(fields: Fields, family: Family, hidden: int, shape: Shape, flow: Flow, norms: Norms) -> Layer:
    mixer, weights = _mixer(fields, family, hidden, shape)
    part, more = feed_forward(fields, family, hidden, shape)
    weights += more
    if family.transposed:
        weights = _transposed(weights)
    if shape.kind == "linear" and family.recurring is not None:
        norms, flow = family.recurring
    beside, more = _beside(fields, family, hidden, shape)
    weights += more
    names = (norms.mixer if mixer and shape.normed else ()) + (norms.part if part else ())
    names += norms.experts if shape.part == "sparse" else ()
    weights += tuple(w for name in names for w in stream_norm(fields, norms, name, hidden))
    if family.extras is not None:
        weights += family.extras(fields, hidden)
    return Layer(mixer, part, weights, turned(fields, flow, shape), beside)


def _beside(fields: Fields, family: Family, hidden: int, shape: Shape) -> tuple[Recurrent | None, Weights]:
    """The recurrence of a layer that attends too."""
    if shape.kind != "both" or family.recurrence is None:
        return None, ()
    from ullage.facts.families.recurrent import recurrence

    return recurrence(fields, family.recurrence, hidden)


def _transposed(weights: Weights) -> Weights:
    """GPT-2's Conv1D holds (inputs, outputs)."""
    return tuple(Weight(w.name, w.shape[::-1], w.role) if w.role == "linear" else w for w in weights)


def _mixer(fields: Fields, family: Family, hidden: int, shape: Shape) -> Mixer:
    kind = shape.kind
    if kind == "none":
        return None, ()
    if kind == "linear":
        if family.recurrence is None:
            raise fields.wrong("layer_types", "linear_attention", "attention, in a family without recurrence")
        from ullage.facts.families.recurrent import recurrence

        return recurrence(fields, family.recurrence, hidden)
    if isinstance(family.attention, Projections):
        if kind == "both":
            shape = shape._replace(kind="full")
        return _attention(fields, family.attention, hidden, shape)
    if not isinstance(family.attention, Latent) or kind != "full":
        raise fields.wrong("layer_types", f"{kind}_attention", "a kind of layer that this family has")
    from ullage.facts.families.latent import latent_attention

    return latent_attention(fields, family.attention, hidden, shape.indexes)


def _attention(fields: Fields, row: Projections, hidden: int, shape: Shape) -> tuple[Attention, Weights]:
    """Softmax attention and its projections, query-key norms included."""
    kind = shape.kind
    assert kind in ("full", "sliding", "chunked")
    heads, kv_heads, head_dim, value_dim, spread = row.heads(fields, hidden, shape)
    value_dim = value_dim or head_dim
    window = None
    if kind != "full":
        chunked = kind == "chunked"
        named = ("attention_chunk_size",) if chunked else ("sliding_window", "attention_window_size")
        window = fields.optional(*named) if row.window is None else row.window(fields)
        if window is None:
            raise fields.wrong(named[0], None, "set where layers slide")
    query, key, where = heads * head_dim, kv_heads * head_dim, row.where
    bias = holds(row.bias, fields)
    if row.fused:
        weights = linear(f"{where}.{row.fused}", query + 2 * key, hidden, bias)
    else:
        first, second, third = row.names
        weights = linear(f"{where}.{first}", query * (2 if row.gated_query else 1), hidden, bias)
        if not shape.reads:
            weights += linear(f"{where}.{second}", key, hidden, bias)
        if not shape.reads and not (kind == "full" and holds(row.value_is_key, fields)):
            weights += linear(f"{where}.{third}", kv_heads * value_dim, hidden, bias)
    out_bias = bias if row.out_bias is None else holds(row.out_bias, fields)
    weights += linear(f"{where}.{row.out}", hidden, heads * value_dim, out_bias)
    normed = row.norms is not None and holds(row.norms.when, fields)
    if row.norms is not None and normed:
        weights += _head_norms(row.norms, where, heads, 0 if shape.reads else kv_heads, head_dim)
    if row.sinks and not (row.sinks_slide and kind != "sliding"):
        weights += single(f"{where}.{row.sinks}", (heads,))
    gate = 0
    if row.gate:
        a_head = row.gate_a_head(fields) if callable(row.gate_a_head) else row.gate_a_head
        gate = heads * (1 if a_head else value_dim)
        weights += linear(f"{where}.{row.gate}", gate, hidden)
    mixer = Attention(kind, heads, kv_heads, head_dim, value_dim, window, normed, bool(row.fused))
    distances = 0 if row.distances is None else row.distances(fields)
    return mixer._replace(
        gate=gate, stores_kv=not shape.reads, causal=row.causal, distances=distances, spread=spread
    ), weights


def _head_norms(row: HeadNorms, where: str, heads: int, kv_heads: int, head_dim: int) -> Weights:
    weights: Weights = ()
    if not row.weighed:
        return weights
    for name, count in zip(row.names, (heads, kv_heads), strict=True):
        if not count:
            continue
        if row.over == "apart":
            for head in range(count):
                weights += norm(f"{where}.{name}.norms.{head}", head_dim, row.bias)
            continue
        shape = {"head": (head_dim,), "full": (count * head_dim,), "each": (count, head_dim)}[row.over]
        weights += single(f"{where}.{name}.weight", shape, "norm")
        if row.bias:
            weights += single(f"{where}.{name}.bias", shape, "bias")
    return weights
