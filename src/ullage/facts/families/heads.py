"""How many heads a layer has, by each family's rule."""

from __future__ import annotations

from ullage.facts.families.family import Counts, Shape
from ullage.facts.families.fields import Fields

GEMMA4_HEAD_DIM = 512
"""Default of Gemma4TextConfig.global_head_dim."""


def grouped(fields: Fields, hidden: int, shape: Shape) -> Counts:
    """The usual fields with the usual derivations."""
    _check_width(fields, hidden, shape.heads or fields.heads())
    return floored(fields, hidden, shape)


def _check_width(fields: Fields, hidden: int, heads: int) -> None:
    if fields.optional("head_dim") is None and hidden % heads:
        raise fields.wrong("num_attention_heads", heads, f"a divisor of hidden_size {hidden}")


def floored(fields: Fields, hidden: int, shape: Shape) -> Counts:
    """The same where a head's width is rounded down."""
    heads = shape.heads or fields.heads()
    kv_heads = shape.kv_heads or fields.kv_heads() or heads
    if heads % kv_heads:
        raise fields.wrong("num_key_value_heads", kv_heads, f"a divisor of {heads} heads")
    return Counts(heads, kv_heads, fields.optional("head_dim") or hidden // heads)


def ungrouped(fields: Fields, hidden: int, shape: Shape) -> Counts:
    """Modeling files that know no grouped keys and values, whatever a config says."""
    heads = shape.heads or fields.heads()
    _check_width(fields, hidden, heads)
    return Counts(heads, heads, fields.optional("head_dim") or hidden // heads)


def multi_query(fields: Fields, hidden: int, shape: Shape) -> Counts:
    """One key-value head for multi-query models, else as many as there are heads."""
    heads = fields.heads()
    return Counts(heads, 1 if fields.flag("multi_query") else heads, hidden // heads)


def doubled_where_sliding(fields: Fields, hidden: int, shape: Shape) -> Counts:
    """MiMo-V2: sliding layers have twice the key-value heads; values have a width of their own."""
    found = grouped(fields, hidden, shape)
    kv_heads = found.kv_heads * (2 if shape.kind == "sliding" else 1)
    return found._replace(kv_heads=kv_heads, value_dim=fields.size("v_head_dim"))


def gated_by_head(fields: Fields) -> bool:
    """Laguna's gates: one number a head unless `gating` says otherwise."""
    return fields.raw("gating") in (None, True, "per-head")


def falcon(fields: Fields, hidden: int, shape: Shape) -> Counts:
    """One key-value head for multi-query models, `num_kv_heads` for the newer decoder (Falcon-40B)."""
    heads = ungrouped(fields, hidden, shape).heads
    if fields.flag("new_decoder_architecture"):
        kv_heads = fields.size("num_kv_heads", "num_key_value_heads")
    else:
        kv_heads = 1 if fields.flag("multi_query") else heads
    return Counts(heads, kv_heads, hidden // heads, spread=fields.flag("new_decoder_architecture"))


def gemma4(fields: Fields, hidden: int, shape: Shape) -> Counts:
    """Full layers have a head width of their own, and key-value heads where their values are the keys."""
    found = grouped(fields, hidden, shape)
    kv_heads, head_dim = _gemma4_full(fields)
    shared = fields.flag("attention_k_eq_v")
    if shape.kind != "full":
        return found
    return Counts(found.heads, (kv_heads if shared else None) or found.kv_heads, head_dim)


def _gemma4_full(fields: Fields) -> tuple[int | None, int]:
    """Hub configs name them for all full layers; configs written by transformers 5.19 list them per layer."""
    listed = fields.raw("per_layer_config")
    if isinstance(listed, dict):
        if not listed:
            return None, fields.size("head_dim")
        own = Fields(next(iter(listed.values())), {}, fields.model)
        return own.kv_heads(), own.size("head_dim")
    return (
        fields.kv_heads("num_global_key_value_heads"),
        fields.optional("global_head_dim") or GEMMA4_HEAD_DIM,
    )
