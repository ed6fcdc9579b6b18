"""Decoders with multi-head latent attention: DeepSeek-V2, V3, V3.2 and MiniCPM3."""

from __future__ import annotations

from functools import partial

from ullage.facts.architecture import Dense, Experts, LatentAttention, Layer
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import (
    Once,
    Weights,
    expert_weights,
    gated_weights,
    linear,
    norm,
    single,
)


def latent_layers(fields: Fields, model_type: str) -> tuple[Layer, ...]:
    """Dense layers first (`first_k_dense_replace`), then routed ones; MiniCPM3 is dense throughout."""
    hidden, depth = fields.size("hidden_size"), fields.depth()
    once = Once()
    routed = model_type.startswith("deepseek")
    first = fields.count("first_k_dense_replace") if routed else depth

    def build(sparse: bool) -> Layer:
        mixer, weights = _attention(fields, hidden)
        part, more = _experts(fields, hidden) if sparse else _dense(fields, hidden)
        norms = norm("input_layernorm", hidden) + norm("post_attention_layernorm", hidden)
        return Layer(mixer, part, weights + more + norms)

    return tuple(once.layer(index >= first, partial(build, index >= first)) for index in range(depth))


def _attention(fields: Fields, hidden: int) -> tuple[LatentAttention, Weights]:
    heads = fields.size("num_attention_heads")
    q_rank = fields.optional("q_lora_rank")
    kv_rank = fields.size("kv_lora_rank")
    rope = fields.size("qk_rope_head_dim")
    nope = fields.size("qk_nope_head_dim")
    value = fields.size("v_head_dim")
    bias = fields.flag("attention_bias")
    where = "self_attn"
    if q_rank:
        weights = linear(f"{where}.q_a_proj", q_rank, hidden, bias)
        weights += norm(f"{where}.q_a_layernorm", q_rank)
        weights += linear(f"{where}.q_b_proj", heads * (nope + rope), q_rank)
    else:
        weights = linear(f"{where}.q_proj", heads * (nope + rope), hidden)
    weights += linear(f"{where}.kv_a_proj_with_mqa", kv_rank + rope, hidden, bias)
    weights += norm(f"{where}.kv_a_layernorm", kv_rank)
    weights += linear(f"{where}.kv_b_proj", heads * (nope + value), kv_rank)
    weights += linear(f"{where}.o_proj", hidden, heads * value, bias)
    index_dim = fields.count("index_head_dim")
    if index_dim:
        weights += _indexer(fields, hidden, q_rank or hidden, index_dim)
    return LatentAttention(heads, kv_rank, rope, nope, value, index_dim), weights


def _indexer(fields: Fields, hidden: int, q_rank: int, width: int) -> Weights:
    """The sparse-attention indexer of DeepSeek-V3.2 (arXiv 2512.02556)."""
    heads = fields.size("index_n_heads")
    where = "self_attn.indexer"
    weights = linear(f"{where}.wq_b", heads * width, q_rank) + linear(f"{where}.wk", width, hidden)
    weights += norm(f"{where}.k_norm", width, True)
    return weights + linear(f"{where}.weights_proj", heads, hidden)


def _dense(fields: Fields, hidden: int) -> tuple[Dense, Weights]:
    width = fields.size("intermediate_size")
    return Dense(width, True), gated_weights(hidden, width)


def _experts(fields: Fields, hidden: int) -> tuple[Experts, Weights]:
    count, width = (
        fields.size("n_routed_experts", "num_experts", "num_local_experts"),
        fields.size("moe_intermediate_size"),
    )
    shared = width * fields.count("n_shared_experts")
    weights = expert_weights(hidden, count, width, "mlp.experts")
    weights += single("mlp.gate.weight", (count, hidden), "router")
    weights += gated_weights(hidden, shared, "mlp.shared_experts") if shared else ()
    return Experts(
        count, fields.size("num_experts_per_tok", "experts_per_token"), width, True, shared
    ), weights
