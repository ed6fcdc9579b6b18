"""Layers with a recurrent state: Mamba, Mamba-2, gated delta net, and the hybrids around them."""

from __future__ import annotations

from functools import partial

from ullage.facts.architecture import Dense, Experts, Layer, Recurrent
from ullage.facts.families.fields import LARGEST_DEPTH, Fields
from ullage.facts.families.kinds import layer_kinds
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

Mixer = tuple[Recurrent, Weights]


def recurrent_layers(fields: Fields, model_type: str) -> tuple[Layer, ...]:
    """The layers of every family with recurrent layers."""
    builders = {
        "mamba": _pure_mamba,
        "falcon_mamba": _pure_mamba,
        "jamba": _jamba,
        "nemotron_h": _nemotron,
        "granitemoehybrid": _granite,
        "qwen3_next": _qwen,
        "qwen3_5_text": _qwen,
        "qwen3_5_moe_text": _qwen,
    }
    return builders[model_type](fields)


def _mamba1(fields: Fields, hidden: int, inner: int, prefix: str, biased: tuple[bool, bool]) -> Mixer:
    """Mamba (arXiv 2312.00752): selective scan with a state of `state_size` per channel."""
    state = fields.size("state_size", "mamba_d_state")
    kernel = fields.size("conv_kernel", "mamba_d_conv")
    rank_given = fields.raw("time_step_rank", "mamba_dt_rank")
    rank = -(-hidden // 16) if rank_given in (None, "auto") else None
    rank = rank or fields.size("time_step_rank", "mamba_dt_rank")
    conv_bias, proj_bias = biased
    weights = single(f"{prefix}.A_log", (inner, state)) + single(f"{prefix}.D", (inner,))
    weights += _conv(prefix, inner, kernel, conv_bias)
    weights += linear(f"{prefix}.in_proj", 2 * inner, hidden, proj_bias)
    weights += linear(f"{prefix}.x_proj", rank + 2 * state, inner)
    weights += linear(f"{prefix}.dt_proj", inner, rank, True)
    weights += linear(f"{prefix}.out_proj", hidden, inner, proj_bias)
    mixer = Recurrent("mamba1", inner, 2 * inner, inner * kernel, inner * state)
    return mixer, weights


def _conv(prefix: str, channels: int, kernel: int, bias: bool) -> Weights:
    weights = single(f"{prefix}.conv1d.weight", (channels, 1, kernel), "conv")
    return weights + (single(f"{prefix}.conv1d.bias", (channels,), "bias") if bias else ())


def _mamba2(
    fields: Fields, hidden: int, inner: int, heads: int, prefix: str, biased: tuple[bool, bool]
) -> Mixer:
    """Mamba-2 (arXiv 2405.21060): a (head_dim, state) matrix per head."""
    state = fields.size("ssm_state_size", "mamba_d_state")
    kernel = fields.size("conv_kernel", "mamba_d_conv")
    groups = fields.size("n_groups", "mamba_n_groups")
    conv_bias, proj_bias = biased
    channels = inner + 2 * groups * state
    projected = inner + channels + heads
    weights = tuple(w for n in ("dt_bias", "A_log", "D") for w in single(f"{prefix}.{n}", (heads,)))
    weights += _conv(prefix, channels, kernel, conv_bias)
    weights += linear(f"{prefix}.in_proj", projected, hidden, proj_bias)
    weights += norm(f"{prefix}.norm", inner)
    weights += linear(f"{prefix}.out_proj", hidden, inner, proj_bias)
    return Recurrent("mamba2", inner, projected, channels * kernel, inner * state), weights


def _pure_mamba(fields: Fields) -> tuple[Layer, ...]:
    hidden = fields.size("hidden_size")
    inner = fields.optional("intermediate_size") or hidden * fields.size("expand")
    biased = (fields.raw("use_conv_bias") is not False, fields.flag("use_bias"))
    mixer, weights = _mamba1(fields, hidden, inner, "mixer", biased)
    return (Layer(mixer, None, norm("norm", hidden) + weights),) * fields.depth()


def _jamba(fields: Fields) -> tuple[Layer, ...]:
    """Jamba (arXiv 2403.19887): attention every `attn_layer_period`, experts every other layer."""
    hidden, once = fields.size("hidden_size"), Once()
    if fields.raw("mamba_inner_layernorms") is False:
        raise fields.wrong("mamba_inner_layernorms", False, "true: transformers always has them")
    heads = Heads(*heads_of(fields, hidden))
    count = fields.size("num_experts", "num_local_experts")
    width, active = fields.size("intermediate_size"), fields.size("num_experts_per_tok", "experts_per_token")
    inner = hidden * fields.size("mamba_expand")

    def build(attends: bool, sparse: bool) -> Layer:
        biased = (fields.flag("mamba_conv_bias"), fields.flag("mamba_proj_bias"))
        mixer, weights = _mamba1(fields, hidden, inner, "mamba", biased)
        rank = next(w.shape[1] for w in weights if w.name == "mamba.dt_proj.weight")
        state = fields.size("mamba_d_state")
        for name, size in (("dt", rank), ("b", state), ("c", state)):
            weights += norm(f"mamba.{name}_layernorm", size)
        found = attention(heads) if attends else mixer
        weights = attention_weights(hidden, heads) if attends else weights
        weights += norm("input_layernorm", hidden) + norm("pre_ff_layernorm", hidden)
        if sparse:
            weights += linear("feed_forward.router", count, hidden)
            weights += expert_weights(hidden, count, width, "feed_forward.experts")
            return Layer(found, Experts(count, active, width, True), weights)
        return Layer(found, Dense(width, True), weights + gated_weights(hidden, width, "feed_forward"))

    layers = []
    for index in range(fields.depth()):
        key = (
            index % fields.size("attn_layer_period") == fields.count("attn_layer_offset"),
            count > 1 and index % fields.size("expert_layer_period") == fields.count("expert_layer_offset"),
        )
        layers.append(once.layer(key, partial(build, *key)))
    return tuple(layers)


_NEMOTRON = {"M": "linear", "-": "mlp", "*": "full", "E": "moe"}
_NEMOTRON_NAMES = {
    "linear_attention": "linear",
    "mamba": "linear",
    "mlp": "mlp",
    "full_attention": "full",
    "attention": "full",
    "moe": "moe",
}


def _nemotron(fields: Fields) -> tuple[Layer, ...]:
    """Nemotron-H (arXiv 2504.03624): each layer is one mixer alone, named by a pattern."""
    pattern = fields.raw("hybrid_override_pattern")
    if isinstance(pattern, str):
        unknown = set(pattern) - set(_NEMOTRON)
        if unknown:
            raise fields.wrong("hybrid_override_pattern", pattern, "made of M, -, * and E")
        kinds = [_NEMOTRON[letter] for letter in pattern]
    else:
        names = fields.names("layer_types", "layers_block_type")
        if names is None or not set(names) <= set(_NEMOTRON_NAMES):
            raise fields.wrong("layers_block_type", names, f"names among {list(_NEMOTRON_NAMES)}")
        kinds = [_NEMOTRON_NAMES[name] for name in names]
    if len(kinds) > LARGEST_DEPTH:
        raise fields.wrong("layers_block_type", len(kinds), f"at most {LARGEST_DEPTH} layers")
    once = Once()
    return tuple(once.layer(kind, partial(_nemotron_layer, fields, kind)) for kind in kinds)


def _nemotron_layer(fields: Fields, kind: str) -> Layer:
    hidden = fields.size("hidden_size")
    before = norm("norm", hidden)
    if kind == "linear":
        heads = fields.size("mamba_num_heads")
        inner = heads * fields.size("mamba_head_dim")
        biased = (
            fields.raw("use_conv_bias") is not False,
            fields.flag("mamba_proj_bias", "use_bias"),
        )
        mixer, weights = _mamba2(fields, hidden, inner, heads, "mixer", biased)
        return Layer(mixer, None, before + weights)
    if kind == "full":
        bias = fields.flag("attention_bias")
        part = Heads(*heads_of(fields, hidden), bias, bias, prefix="mixer")
        return Layer(attention(part), None, before + attention_weights(hidden, part))
    bias = fields.flag("mlp_bias")
    if kind == "mlp":
        width = fields.size("intermediate_size")
        weights = linear("mixer.up_proj", width, hidden, bias)
        weights += linear("mixer.down_proj", hidden, width, bias)
        return Layer(None, Dense(width, False), before + weights)
    count, width = (
        fields.size("n_routed_experts", "num_experts"),
        fields.size("moe_intermediate_size"),
    )
    shared = fields.count("moe_shared_expert_intermediate_size", "shared_expert_intermediate_size")
    shared *= max(fields.count("n_shared_experts"), 1)
    weights = expert_weights(hidden, count, width, "mixer.experts", gated=False)
    weights += single("mixer.gate.weight", (count, hidden), "router")
    weights += linear("mixer.shared_experts.up_proj", shared, hidden)
    weights += linear("mixer.shared_experts.down_proj", hidden, shared)
    moe = Experts(count, fields.size("num_experts_per_tok", "experts_per_token"), width, False, shared)
    return Layer(None, moe, before + weights)


def _granite(fields: Fields) -> tuple[Layer, ...]:
    """Granite 4.0: Mamba-2 or attention, then routed experts (where there are any) and a shared MLP."""
    hidden, once, depth = fields.size("hidden_size"), Once(), fields.depth()
    count = fields.count("num_local_experts", "num_experts")
    shared = fields.optional("shared_intermediate_size", "shared_expert_intermediate_size")
    bias = fields.flag("attention_bias")
    part = Heads(*heads_of(fields, hidden), bias, bias)
    kinds = layer_kinds(fields, "granitemoehybrid", depth)
    if not {"linear", "full"} >= set(kinds):
        raise fields.wrong("layer_types", kinds[0], "mamba or attention in every layer")

    def build(kind: str) -> Layer:
        if kind == "full":
            mixer, weights = attention(part), attention_weights(hidden, part)
        else:
            inner = hidden * fields.size("mamba_expand")
            biased = (fields.flag("mamba_conv_bias"), fields.flag("mamba_proj_bias"))
            heads = fields.size("mamba_n_heads")
            width = fields.raw("mamba_d_head")
            if isinstance(width, int) and width * heads != inner:
                raise fields.wrong("mamba_d_head", width, f"{inner} channels over {heads} heads")
            mixer, weights = _mamba2(fields, hidden, inner, heads, "mamba", biased)  # type: ignore[assignment]
        weights += norm("input_layernorm", hidden) + norm("post_attention_layernorm", hidden)
        wide = shared or fields.size("intermediate_size")
        weights += linear("shared_mlp.input_linear", 2 * wide, hidden)
        weights += linear("shared_mlp.output_linear", hidden, wide)
        if not count:
            return Layer(mixer, Dense(wide, True, True), weights)
        width = fields.size("intermediate_size")
        weights += expert_weights(hidden, count, width, "block_sparse_moe.experts")
        weights += single("block_sparse_moe.router.weight", (count, hidden), "router")
        active = fields.size("num_experts_per_tok", "experts_per_token")
        return Layer(mixer, Experts(count, active, width, True, wide), weights)

    return tuple(once.layer(kind, partial(build, kind)) for kind in kinds)


def _qwen(fields: Fields) -> tuple[Layer, ...]:
    """Qwen3-Next and Qwen3.5: gated delta net (arXiv 2412.06464) with gated attention between."""
    hidden, once, depth = fields.size("hidden_size"), Once(), fields.depth()
    heads, kv_heads, head_dim = heads_of(fields, hidden)
    bias = fields.flag("attention_bias")
    part = Heads(heads, kv_heads, head_dim, bias, bias, "head", gated_query=True)

    def build(kind: str) -> Layer:
        if kind == "full":
            mixer, weights = attention(part), attention_weights(hidden, part)
        else:
            mixer, weights = _delta(fields, hidden)  # type: ignore[assignment]
        weights += norm("input_layernorm", hidden) + norm("post_attention_layernorm", hidden)
        count = fields.count("num_experts")
        if not count:
            width = fields.size("intermediate_size")
            return Layer(mixer, Dense(width, True), weights + gated_weights(hidden, width))
        width = fields.size("moe_intermediate_size")
        shared = fields.size("shared_expert_intermediate_size")
        weights += expert_weights(hidden, count, width, "mlp.experts")
        weights += single("mlp.gate.weight", (count, hidden), "router")
        weights += gated_weights(hidden, shared, "mlp.shared_expert")
        weights += linear("mlp.shared_expert_gate", 1, hidden)
        active = fields.size("num_experts_per_tok", "experts_per_token")
        return Layer(mixer, Experts(count, active, width, True, shared), weights)

    kinds = layer_kinds(fields, "qwen3_next", depth)
    return tuple(once.layer(kind, partial(build, kind)) for kind in kinds)


def _delta(fields: Fields, hidden: int) -> Mixer:
    key_dim, value_dim = fields.size("linear_key_head_dim"), fields.size("linear_value_head_dim")
    key_heads, value_heads = (
        fields.size("linear_num_key_heads"),
        fields.size("linear_num_value_heads"),
    )
    kernel = fields.size("linear_conv_kernel_dim")
    key, value = key_dim * key_heads, value_dim * value_heads
    where = "linear_attn"
    weights = single(f"{where}.dt_bias", (value_heads,)) + single(f"{where}.A_log", (value_heads,))
    weights += _conv(where, 2 * key + value, kernel, False)
    if "qwen3_5" in str(fields.raw("model_type")):
        for name, size in (
            ("qkv", 2 * key + value),
            ("z", value),
            ("b", value_heads),
            ("a", value_heads),
        ):
            weights += linear(f"{where}.in_proj_{name}", size, hidden)
    else:
        weights += linear(f"{where}.in_proj_qkvz", 2 * key + 2 * value, hidden)
        weights += linear(f"{where}.in_proj_ba", 2 * value_heads, hidden)
    weights += norm(f"{where}.norm", value_dim) + linear(f"{where}.out_proj", hidden, value)
    projected = 2 * key + 2 * value + 2 * value_heads
    state = value_heads * key_dim * value_dim
    conv = (2 * key + value) * kernel
    return Recurrent("gated_delta", value, projected, conv, state), weights
