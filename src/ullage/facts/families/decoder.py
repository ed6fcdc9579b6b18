"""Decoders whose layers are attention and a dense or mixture-of-experts feed-forward part."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from ullage.facts.architecture import Dense, Experts, Layer, Weight
from ullage.facts.families.fields import Fields
from ullage.facts.families.flow import flow_of
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
    plain_weights,
    single,
)

PRE_POST: Final = ("input_layernorm", "post_attention_layernorm")
SANDWICH: Final = (*PRE_POST, "pre_feedforward_layernorm", "post_feedforward_layernorm")


class Style(NamedTuple):
    """What a family's modeling file fixes. Bias "config" is read from the field named there."""

    norms: tuple[str, ...] = PRE_POST
    norm_bias: bool = False
    qkv_bias: bool | str = False
    out_bias: bool | str = False
    mlp_bias: bool | str = False
    qk_norm: Literal["none", "head", "full"] | str = "none"
    fused_qkv: str = ""
    out_name: str = "o_proj"
    attention_name: str = "self_attn"
    mlp: Literal["gated", "fused"] | tuple[str, str] = "gated"


_STYLES = {
    "llama": Style(qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias"),
    "mistral": Style(),
    "mixtral": Style(),
    "qwen2": Style(qkv_bias=True),
    "qwen2_moe": Style(qkv_bias="qkv_bias"),
    "qwen2_5_vl_text": Style(qkv_bias=True),
    "qwen3": Style(qkv_bias="attention_bias", out_bias="attention_bias", qk_norm="head"),
    "gemma": Style(qkv_bias="attention_bias", out_bias="attention_bias"),
    "gemma2": Style(norms=SANDWICH, qkv_bias="attention_bias", out_bias="attention_bias"),
    "gemma3_text": Style(
        norms=SANDWICH, qkv_bias="attention_bias", out_bias="attention_bias", qk_norm="head"
    ),
    "phi": Style(
        norms=("input_layernorm",),
        norm_bias=True,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        out_name="dense",
        mlp=("mlp.fc1", "mlp.fc2"),
    ),
    "phi3": Style(fused_qkv="qkv_proj", mlp="fused"),
    "gpt2": Style(
        norms=("ln_1", "ln_2"),
        norm_bias=True,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        fused_qkv="c_attn",
        out_name="c_proj",
        attention_name="attn",
        mlp=("mlp.c_fc", "mlp.c_proj"),
    ),
    "opt": Style(
        norms=("self_attn_layer_norm", "final_layer_norm"),
        norm_bias=True,
        qkv_bias="enable_bias",
        out_bias="enable_bias",
        mlp_bias="enable_bias",
        out_name="out_proj",
        mlp=("fc1", "fc2"),
    ),
    "gpt_neox": Style(
        norm_bias=True,
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        mlp_bias=True,
        fused_qkv="query_key_value",
        out_name="dense",
        attention_name="attention",
        mlp=("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
    ),
    "falcon": Style(
        norms=("input_layernorm",),
        norm_bias=True,
        qkv_bias="bias",
        out_bias="bias",
        mlp_bias="bias",
        fused_qkv="query_key_value",
        out_name="dense",
        attention_name="self_attention",
        mlp=("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
    ),
    "starcoder2": Style(
        norm_bias=True,
        qkv_bias="use_bias",
        out_bias="use_bias",
        mlp_bias="use_bias",
        mlp=("mlp.c_fc", "mlp.c_proj"),
    ),
    "olmo2": Style(
        norms=("post_attention_layernorm", "post_feedforward_layernorm"),
        qkv_bias="attention_bias",
        out_bias="attention_bias",
        qk_norm="full",
    ),
    "gpt_oss": Style(qkv_bias="attention_bias", out_bias="attention_bias"),
    "cohere": Style(norms=("input_layernorm",), qkv_bias="attention_bias", out_bias="attention_bias"),
    "granite": Style(qkv_bias="attention_bias", out_bias="attention_bias", mlp_bias="mlp_bias"),
    "glm": Style(qkv_bias="attention_bias", mlp="fused"),
    "glm4_moe": Style(qkv_bias="attention_bias", qk_norm="use_qk_norm"),
    "llama4_text": Style(qkv_bias="attention_bias", out_bias="attention_bias"),
}
STYLES: Final = _STYLES | {
    "qwen3_moe": _STYLES["qwen3"],
    "qwen3_vl_text": _STYLES["qwen3"],
    "qwen3_vl_moe_text": _STYLES["qwen3"],
    "cohere2": _STYLES["cohere"],
    "glm4v_moe_text": Style(qkv_bias="attention_bias"),
    "nemotron-nas": Style(),
}
UNGROUPED: Final = frozenset({"gpt2", "opt", "gpt_neox"})
"""Families whose modeling files know no grouped keys and values, whatever a config says."""


def decoder_layers(fields: Fields, model_type: str) -> tuple[Layer, ...]:
    """The layers of one of the families in STYLES."""
    style = STYLES[model_type]
    hidden = fields.size("hidden_size", "n_embd", "d_model")
    depth = fields.depth()
    once = Once()
    kinds = layer_kinds(fields, model_type, depth)
    window = fields.optional("attention_chunk_size" if "chunked" in kinds else "sliding_window")
    if window is None and ("sliding" in kinds or "chunked" in kinds):
        raise fields.wrong("sliding_window", None, "set where layers slide")
    heads = _heads(fields, style, hidden, model_type)
    flow = flow_of(model_type, fields)
    layers = []
    for index in range(depth):
        sparse = _is_sparse(fields, model_type, index)
        kind = kinds[index]

        def build(kind: LayerKind = kind, sparse: bool = sparse) -> Layer:
            assert kind not in ("linear", "none")
            mixer = attention(heads, kind, window)  # type: ignore[arg-type]
            weights = attention_weights(hidden, heads) + _extras(fields, model_type, heads)
            part, more = _feed_forward(fields, style, model_type, hidden, sparse)
            weights += more
            if model_type == "gpt2":
                weights = _transposed(weights)
            return Layer(mixer, part, weights + _norms(fields, style, model_type, hidden), flow)

        layers.append(once.layer((kind, sparse), build))
    return tuple(layers)


def _transposed(weights: Weights) -> Weights:
    """GPT-2's Conv1D holds (inputs, outputs)."""
    return tuple(Weight(w.name, w.shape[::-1], w.role) if w.role == "linear" else w for w in weights)


def _flag(fields: Fields, value: bool | str) -> bool:
    if isinstance(value, bool):
        return value
    if value == "qkv_bias":
        return fields.raw("qkv_bias") is not False
    return fields.flag(value)


def _heads(fields: Fields, style: Style, hidden: int, model_type: str) -> Heads:
    heads, kv_heads, head_dim = heads_of(fields, hidden)
    if model_type in UNGROUPED:
        kv_heads = heads
    elif model_type == "falcon":
        kv_heads = _falcon_kv_heads(fields, heads)
        head_dim = hidden // heads
    normed = style.qk_norm
    if normed not in ("none", "head", "full"):
        normed = "head" if fields.flag(normed) else "none"
    return Heads(
        heads,
        kv_heads,
        head_dim,
        _flag(fields, style.qkv_bias),
        _flag(fields, style.out_bias),
        normed,  # type: ignore[arg-type]
        fused=bool(style.fused_qkv),
        prefix=style.attention_name,
        out_name=style.out_name,
        fused_name=style.fused_qkv,
    )


def _falcon_kv_heads(fields: Fields, heads: int) -> int:
    """One for multi-query models, `num_kv_heads` for the newer decoder (Falcon-40B)."""
    if fields.flag("new_decoder_architecture"):
        return fields.size("num_kv_heads", "num_key_value_heads")
    return 1 if fields.flag("multi_query") else heads


def _extras(fields: Fields, model_type: str, heads: Heads) -> Weights:
    if model_type == "gpt_oss":
        return single("self_attn.sinks", (heads.heads,))
    if model_type == "phi" and fields.flag("qk_layernorm"):
        names = ("self_attn.q_layernorm", "self_attn.k_layernorm")
        return tuple(w for name in names for w in norm(name, heads.head_dim, True))
    if model_type.startswith("cohere") and fields.flag("use_qk_norm"):
        query = single("self_attn.q_norm.weight", (heads.heads, heads.head_dim), "norm")
        return query + single("self_attn.k_norm.weight", (heads.kv_heads, heads.head_dim), "norm")
    return ()


def _norms(fields: Fields, style: Style, model_type: str, hidden: int) -> Weights:
    names = style.norms
    if model_type == "falcon" and fields.flag("new_decoder_architecture"):
        names = ("ln_attn", "ln_mlp")
        if fields.optional("num_ln_in_parallel_attn") == 1:
            names = ("input_layernorm",)
    elif model_type == "falcon" and not fields.flag("parallel_attn"):
        names = PRE_POST
    return tuple(w for name in names for w in norm(name, hidden, style.norm_bias))


def _is_sparse(fields: Fields, model_type: str, index: int) -> bool:
    """Whether layer `index` routes to experts, by each family's own rule."""
    if model_type in ("mixtral", "gpt_oss"):
        return True
    if model_type in ("qwen2_moe", "qwen3_moe", "qwen3_vl_moe_text"):
        step = fields.optional("decoder_sparse_step") or 1
        dense = fields.numbers("mlp_only_layers") or ()
        return index not in dense and (index + 1) % step == 0
    if model_type in ("glm4_moe", "glm4v_moe_text"):
        return index >= fields.count("first_k_dense_replace")
    if model_type == "llama4_text":
        listed = fields.numbers("moe_layers")
        if listed is not None:
            return index in listed
        step = fields.optional("interleave_moe_layer_step") or 1
        return (index + 1) % step == 0
    return False


def _feed_forward(
    fields: Fields, style: Style, model_type: str, hidden: int, sparse: bool
) -> tuple[Dense | Experts, Weights]:
    if sparse:
        return _experts(fields, model_type, hidden)
    if model_type == "llama4_text":
        width = fields.size("intermediate_size_mlp")
        return Dense(width, True), gated_weights(hidden, width, "feed_forward")
    width = fields.optional("ffn_dim", "ffn_hidden_size", "n_inner", "intermediate_size") or 4 * hidden
    bias = _flag(fields, style.mlp_bias)
    if isinstance(style.mlp, tuple):
        return Dense(width, False), plain_weights(hidden, width, style.mlp, bias)
    fused = style.mlp == "fused"
    return Dense(width, True, fused), gated_weights(hidden, width, "mlp", bias, fused)


def _experts(fields: Fields, model_type: str, hidden: int) -> tuple[Experts, Weights]:
    count = fields.size("num_local_experts", "num_experts", "n_routed_experts")
    active = fields.size("num_experts_per_tok", "experts_per_token")
    width = fields.size("moe_intermediate_size", "intermediate_size")
    if model_type == "llama4_text":
        where = "feed_forward.experts"
        weights = expert_weights(hidden, count, width, where, transposed=True)
        weights += linear("feed_forward.router", count, hidden)
        weights += gated_weights(hidden, width, "feed_forward.shared_expert")
        return Experts(count, active, width, True, width), weights
    if model_type == "gpt_oss":
        weights = expert_weights(hidden, count, width, "mlp.experts", bias=True, transposed=True)
        weights += single("mlp.router.weight", (count, hidden), "router")
        return Experts(count, active, width, True), weights + single("mlp.router.bias", (count,), "bias")
    weights = expert_weights(hidden, count, width, "mlp.experts")
    weights += single("mlp.gate.weight", (count, hidden), "router")
    shared = 0
    if model_type == "qwen2_moe":
        shared = fields.size("shared_expert_intermediate_size")
        weights += gated_weights(hidden, shared, "mlp.shared_expert")
        weights += linear("mlp.shared_expert_gate", 1, hidden)
    elif model_type in ("glm4_moe", "glm4v_moe_text"):
        shared = width * fields.count("n_shared_experts")
        weights += gated_weights(hidden, shared, "mlp.shared_experts") if shared else ()
    return Experts(count, active, width, True, shared), weights
