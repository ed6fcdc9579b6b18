"""What comes before and after the layers: embeddings, the final norm, the output layer."""

from __future__ import annotations

from typing import Final

from ullage.facts.families.family import Family, LayerKind, Norms, Shape
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import Weights, linear, norm, single
from ullage.facts.families.switch import holds
from ullage.facts.flow import Flow


def norms_of(fields: Fields, family: Family) -> Norms:
    """The family's norms under one config."""
    return family.norms if isinstance(family.norms, Norms) else family.norms(fields)


def stream_norm(fields: Fields, norms: Norms, name: str, width: int) -> Weights:
    """One norm of the stream; nothing where they are without parameters."""
    return norm(name, width, holds(norms.bias, fields)) if holds(norms.weighed, fields) else ()


def embeddings(fields: Fields, family: Family, hidden: int, vocabulary: int) -> tuple[Weights, Weights]:
    """Token (and learned position) embeddings, and the final norm with what else follows layers."""
    ends, norms = family.ends, norms_of(fields, family)
    width = _narrow(fields, family) or hidden
    tokens: Weights = single(f"{ends.tokens}.weight", (vocabulary, width), "embedding")
    if ends.tokens_norm:
        tokens += stream_norm(fields, norms, ends.tokens_norm, hidden)
    if ends.positions and (ends.positions_when is None or ends.positions_when(fields)):
        rows = fields.size(*ends.position_rows) + ends.more_rows
        tokens += single(f"{ends.positions}.weight", (rows, hidden), "embedding")
    normed = ends.norm_when(fields) if callable(ends.norm_when) else holds(ends.norm_when, fields)
    final: Weights = stream_norm(fields, norms, ends.norm, hidden) if normed else ()
    if width != hidden:
        tokens += linear("project_in", hidden, width)
        final += linear("project_out", width, hidden)
    if ends.extras is not None:
        tokens += ends.extras(fields, hidden)
    return tokens, final


def head(fields: Fields, family: Family, hidden: int, vocabulary: int) -> Weights:
    """An output layer of its own."""
    width = _narrow(fields, family) or hidden
    weight: Weights = single("lm_head.weight", (vocabulary, width), "head")
    return weight + head_bias(fields, family, vocabulary)


def head_bias(fields: Fields, family: Family, vocabulary: int) -> Weights:
    """What an output layer adds, tied or not."""
    return single("lm_head.bias", (vocabulary,), "bias") if holds(family.ends.head_bias, fields) else ()


def _narrow(fields: Fields, family: Family) -> int | None:
    return fields.optional(family.ends.narrow) if family.ends.narrow else None


def positions(fields: Fields, family: Family) -> int | None:
    """How many tokens a text may have; None where nothing says."""
    rows = fields.positions()
    if rows is None or not family.ends.after_padding:
        return rows
    padding = fields.optional("pad_token_id")
    return max(rows - 1 - (1 if padding is None else padding), 0)


def rotary_positions(fields: Fields, family: Family) -> int:
    """Rows of the rotary tables: linear scaling stretches the one of full attention, and families with
    another base frequency in sliding layers have a second (vLLM, layers/rotary_embedding)."""
    positions = fields.positions() or 0
    scaling = fields.raw("rope_scaling", "rope_parameters")
    if isinstance(scaling, dict) and isinstance(scaling.get("full_attention"), dict):
        scaling = scaling["full_attention"]
    factor = 1.0
    if isinstance(scaling, dict) and scaling.get("rope_type", scaling.get("type")) == "linear":
        given = scaling.get("factor")
        factor = given if isinstance(given, int | float) and 1 <= given <= 1024 else 1.0
    return int(positions * factor) + (positions if family.local_rotary else 0)


_WRITTEN: Final = {
    "gelu_new": (3, 0),
    "gelu_fast": (3, 0),
    "gelu_python": (3, 0),
    "relu2": (2, 0),
    "xielu": (4, 1),
}
"""Activations written as a chain of elementwise operations, each with its own result: how many of them are
there at once beside the input, and bytes an element of conditions (transformers, activations.py)."""


def flow_of(fields: Fields, family: Family) -> Flow:
    """The flow of a family's layers under one config."""
    changes: dict[str, object] = {}
    activation = fields.raw("hidden_act", "activation_function", "hidden_activation", "activation")
    if isinstance(activation, str) and activation in _WRITTEN:
        changes["activation"] = _WRITTEN[activation]
    if family.pre_unless and fields.raw(family.pre_unless) is False:
        changes["order"] = "pre"
    if family.rms_where and fields.raw(family.rms_where) is not None:
        changes["norm"] = "rms"
    if holds(family.full_stream, fields):
        changes["full_stream"] = True
    if fields.raw("attn_logit_softcapping"):
        changes["soft_capped"] = True
    return family.flow.with_(changes)


def turned(fields: Fields, flow: Flow, shape: Shape) -> Flow:
    """The flow of a layer of this shape: how much of its heads is rotated."""
    if not shape.rotates:
        return flow._replace(rotary=0.0)
    share = _rotary_share(fields, shape.kind) if flow.rotary else None
    return flow if share is None else flow._replace(rotary=share)


def _rotary_share(fields: Fields, kind: LayerKind) -> float | None:
    """Share of a head that is rotated in layers of this kind, where the config says."""
    share = fields.raw("partial_rotary_factor", "rotary_pct")
    parameters = fields.raw("rope_parameters")
    if isinstance(parameters, dict):
        parameters = parameters.get(f"{kind}_attention", parameters)
    if share is None and isinstance(parameters, dict):
        # Proportional scaling turns whole heads, some of their pairs by nothing.
        whole = parameters.get("rope_type") == "proportional"
        share = None if whole else parameters.get("partial_rotary_factor")
    if share is None and fields.optional("rotary_dim") and fields.optional("head_dim"):
        share = fields.size("rotary_dim") / fields.size("head_dim")
    if isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1:
        return float(share)
    turned = fields.optional("rotary_dim")
    if not turned:
        return None
    return min(turned / (fields.optional("head_dim") or fields.width() // fields.heads()), 1.0)
