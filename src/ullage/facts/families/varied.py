"""Decoders whose attention differs from layer to layer: Gemma 4 and Nemotron-NAS."""

from __future__ import annotations

from functools import partial

from ullage.errors import FormatError
from ullage.facts.architecture import Dense, Experts, Layer
from ullage.facts.families.fields import Fields
from ullage.facts.families.kinds import LayerKind, layer_kinds
from ullage.facts.families.parts import (
    Heads,
    Once,
    Weights,
    attention,
    attention_weights,
    expert_weights,
    gated_weights,
    heads_of,
    linear,
    norm,
    single,
)

GLOBAL_HEAD_DIM = 512
"""Default of Gemma4TextConfig.global_head_dim."""


def gemma4_layers(fields: Fields) -> tuple[Layer, ...]:
    """Sliding layers, and full ones with their own head width whose values are the keys."""
    hidden, depth, once = fields.size("hidden_size"), fields.depth(), Once()
    if fields.count("num_kv_shared_layers") or fields.flag("use_double_wide_mlp"):
        raise FormatError(
            f"{fields.model}: num_kv_shared_layers and use_double_wide_mlp of Gemma 4 are not "
            "interpreted; only models without them can be planned"
        )
    heads, kv_heads, head_dim = heads_of(fields, hidden)
    full_kv, full_dim = _gemma4_full(fields)
    shared = fields.flag("attention_k_eq_v")
    window = fields.optional("sliding_window")

    def build(kind: LayerKind) -> Layer:
        full = kind == "full"
        part = Heads(
            heads,
            (full_kv or kv_heads) if full and shared else kv_heads,
            full_dim if full else head_dim,
            qk_norm="head",
            shared_value=shared and full,
        )
        weights = attention_weights(hidden, part)
        width = fields.size("intermediate_size")
        weights += gated_weights(hidden, width) + _gemma4_norms(fields, hidden)
        mixer = attention(part, "full" if full else "sliding", window)
        experts = fields.count("num_experts")
        if not experts:
            return Layer(mixer, Dense(width, True), weights)
        routed = fields.size("moe_intermediate_size")
        weights += single("router.scale", (hidden,), "router")
        weights += single("router.per_expert_scale", (experts,), "router")
        weights += linear("router.proj", experts, hidden)
        weights += expert_weights(hidden, experts, routed, "experts")
        active = fields.size("top_k_experts", "num_experts_per_tok")
        return Layer(mixer, Experts(experts, active, routed, True, width), weights)

    kinds = layer_kinds(fields, "gemma4_text", depth)
    return tuple(once.layer(kind, partial(build, kind)) for kind in kinds)


def _gemma4_full(fields: Fields) -> tuple[int | None, int]:
    """Key-value heads and head width of the full layers.

    Hub configs name them for all; configs written by transformers 5.19 list them per layer.
    """
    listed = fields.raw("per_layer_config")
    if isinstance(listed, dict) and listed:
        own = Fields(next(iter(listed.values())), {}, fields.model)
        return own.optional("num_key_value_heads"), own.size("head_dim")
    return (
        fields.optional("num_global_key_value_heads"),
        fields.optional("global_head_dim") or GLOBAL_HEAD_DIM,
    )


def _gemma4_norms(fields: Fields, hidden: int) -> Weights:
    names = [
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    ]
    if fields.count("num_experts"):
        names += [
            "post_feedforward_layernorm_1",
            "post_feedforward_layernorm_2",
            "pre_feedforward_layernorm_2",
        ]
    weights = tuple(w for name in names for w in norm(name, hidden))
    per_layer = fields.count("hidden_size_per_layer_input")
    if per_layer:
        weights += linear("per_layer_input_gate", per_layer, hidden)
        weights += linear("per_layer_projection", hidden, per_layer)
        weights += norm("post_per_layer_input_norm", hidden)
    return weights


def nas_layers(fields: Fields) -> tuple[Layer, ...]:
    """Nemotron-NAS (Puzzle, arXiv 2411.19146): each block has its own heads and width, or none."""
    hidden, once = fields.size("hidden_size"), Once()
    heads = fields.size("num_attention_heads")
    blocks = _nas_blocks(fields, heads, hidden)

    def build(kv_heads: int, width: int) -> Layer:
        weights: Weights = ()
        mixer = part = None
        if kv_heads:
            shape = Heads(heads, kv_heads, fields.optional("head_dim") or hidden // heads)
            mixer = attention(shape)
            weights += norm("input_layernorm", hidden) + attention_weights(hidden, shape)
        if width:
            part = Dense(width, True)
            weights += norm("post_attention_layernorm", hidden) + gated_weights(hidden, width)
        return Layer(mixer, part, weights)

    return tuple(once.layer(block, partial(build, *block)) for block in blocks)


def _nas_blocks(fields: Fields, heads: int, hidden: int) -> list[tuple[int, int]]:
    """(key-value heads, feed-forward width) per block; 0 for a part that is left out."""
    kv_heads = fields.numbers("num_key_value_heads_per_layer")
    widths = fields.numbers("intermediate_size_per_layer")
    if kv_heads is not None and widths is not None:
        return list(zip(kv_heads, widths, strict=True))
    configs = fields.raw("block_configs")
    if not isinstance(configs, list):
        raise fields.wrong("block_configs", configs, "a list with attention and ffn per layer")
    blocks = []
    for number, config in enumerate(configs):
        try:
            attends, forward = config["attention"], config["ffn"]
            for part in (attends, forward):
                if part.get("replace_with_linear"):
                    raise FormatError(
                        f"{fields.model}: block_configs[{number}] replaces a part by a linear "
                        "layer, which is not interpreted"
                    )
            kv = 0 if attends.get("no_op") else heads // int(attends["n_heads_in_group"])
            multiple = 2 * float(forward["ffn_mult"]) * hidden / 3 if not forward.get("no_op") else 0
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            raise FormatError(f"{fields.model}: block_configs[{number}] lacks or mistypes {error}") from error
        blocks.append((kv, -(-int(multiple) // 256) * 256))
    return blocks
