"""Decoders with a recurrent state in some layers or all, and those whose layers differ in their sizes."""

from __future__ import annotations

from typing import Final

from ullage.facts.families.family import (
    NORMED_TWICE,
    Ends,
    Family,
    FeedForward,
    HeadNorms,
    Latent,
    Norms,
    Projections,
    Routed,
    Shared,
)
from ullage.facts.families.heads import gemma4, grouped
from ullage.facts.families.kinds import (
    after_dense,
    after_first,
    always,
    every,
    periodic,
    stepped,
    where_counted,
)
from ullage.facts.families.recurrences import (
    ChannelDelta,
    Delta,
    GatedUnit,
    Lightning,
    Mamba,
    Mamba2,
    ShortConv,
)
from ullage.facts.families.recurring import (
    alternating,
    attending,
    blocked,
    both,
    indexed,
    kimi,
    listed_alone,
    recurrent,
)
from ullage.facts.families.rows.dense import MISTRAL
from ullage.facts.families.rows.routed import SHARED_GATED, gated
from ullage.facts.families.switch import Unless
from ullage.facts.families.varied import (
    blocks,
    gemma4_embeddings,
    gemma4_inputs,
    gemma4_layer,
    gemma4_sharing,
    halved,
    lfm2_width,
    one_part_each,
)
from ullage.facts.flow import Flow

_MAMBA: Final = Family(
    None,
    Mamba(width=("intermediate_size",)),
    norms=Norms(("norm",), ()),
    kinds=recurrent,
    full_stream="residual_in_fp32",
)
_JAMBA: Final = Family(
    Projections(grouped),
    Mamba("mamba", conv_bias="mamba_conv_bias", bias="mamba_proj_bias", inner_norms=True),
    gated("feed_forward", "intermediate_size"),
    Routed(
        "feed_forward.experts", "feed_forward.router", "linear", narrow=True, width=("intermediate_size",)
    ),
    Norms(part=("pre_ff_layernorm",)),
    kinds=attending,
    sparse=periodic,
    needed=("mamba_inner_layernorms",),
)
_NEMOTRON_H: Final = Family(
    Projections(grouped, "mixer"),
    Mamba2(),
    FeedForward(("mixer.up_proj",), "mixer.down_proj", gated=False, bias="mlp_bias"),
    Routed(
        "mixer.experts",
        "mixer.gate",
        gated=False,
        shared=Shared(
            FeedForward(
                ("mixer.shared_experts.up_proj",),
                "mixer.shared_experts.down_proj",
                gated=False,
                bias="mlp_bias",
                width=("moe_shared_expert_intermediate_size", "shared_expert_intermediate_size"),
            )
        ),
        latent=("moe_latent_size", "mixer.fc1_latent_proj", "mixer.fc2_latent_proj"),
        width=("moe_intermediate_size",),
    ),
    Norms(("norm",), ("norm",)),
    ends=Ends(ties=False),
    shapes=one_part_each,
    flow=Flow(activation=(2, 0)),
)
_GRANITE_HYBRID: Final = Family(
    Projections(grouped, bias="attention_bias"),
    Mamba2("mamba", expand=("mamba_expand",), conv_bias="mamba_conv_bias", bias="mamba_proj_bias"),
    FeedForward(
        ("shared_mlp.input_linear",),
        "shared_mlp.output_linear",
        width=("shared_intermediate_size", "shared_expert_intermediate_size"),
    ),
    Routed(
        "block_sparse_moe.experts",
        "block_sparse_moe.router",
        beside=True,
        narrow=True,
        total=("num_local_experts", "num_experts"),
        width=("intermediate_size",),
    ),
    sparse=where_counted("num_local_experts", "num_experts"),
)
_QWEN3_5: Final = Family(
    Projections(grouped, bias="attention_bias", norms=HeadNorms(), gated_query=True),
    Delta(parts=("qkv", "z", "b", "a")),
    FeedForward(),
    kinds=every(4, "full_attention_interval", other="linear"),
)
_QWEN3_5_MOE: Final = _QWEN3_5._replace(
    experts=Routed(narrow=True, width=("moe_intermediate_size",), shared=SHARED_GATED),
    sparse=stepped,
    flow=Flow(shared_first=True),
)
_GEMMA4: Final = Family(
    Projections(gemma4, bias="attention_bias", norms=HeadNorms(), value_is_key="attention_k_eq_v"),
    dense=FeedForward(),
    experts=Routed(
        "experts",
        "router.proj",
        "linear",
        beside=True,
        scales=("router.scale", "router.per_expert_scale"),
        total=("num_experts",),
        active=("top_k_experts", "num_experts_per_tok"),
        width=("moe_intermediate_size",),
    ),
    norms=NORMED_TWICE._replace(
        experts=(
            "post_feedforward_layernorm_1",
            "post_feedforward_layernorm_2",
            "pre_feedforward_layernorm_2",
        )
    ),
    ends=Ends(extras=gemma4_embeddings, beside=gemma4_inputs),
    extras=gemma4_layer,
    kinds=every(6, "sliding_window_pattern", "_sliding_window_pattern", last=True),
    sparse=where_counted("num_experts"),
    flow=Flow(norm="rms-fp32", order="sandwich", one_by_one=True),
    local_rotary=True,
    reshapes=gemma4_sharing,
)
_MAMBA2: Final = _MAMBA._replace(
    recurrence=Mamba2(heads=("num_heads",), head_dim=("head_dim",), expand=("expand",))
)
_IN_MAMBA: Final = Mamba2(
    "mamba", expand=("mamba_expand",), conv_bias=Unless("mamba_conv_bias"), bias="mamba_proj_bias"
)
_BAMBA: Final = Family(
    Projections(grouped, bias="attention_bias"),
    _IN_MAMBA,
    gated("feed_forward", "intermediate_size")._replace(bias="mlp_bias"),
    norms=Norms(part=("pre_ff_layernorm",)),
    ends=Ends(norm="final_layernorm"),
    kinds=indexed("attn_layer_indices", "linear"),
    flow=Flow(rotary=0.5),
)
_FALCON_H1: Final = _BAMBA._replace(
    recurrence=_IN_MAMBA._replace(
        width=("mamba_d_ssm",), out_bias="projectors_bias", normed="mamba_rms_norm"
    ),
    kinds=both,
    flow=Flow(),
)
_LFM2: Final = Family(
    Projections(grouped, out="out_proj", norms=HeadNorms(names=("q_layernorm", "k_layernorm"))),
    ShortConv(),
    FeedForward(("feed_forward.w1", "feed_forward.w3"), "feed_forward.w2", fitted=lfm2_width),
    norms=Norms(("operator_norm",), ("ffn_norm",)),
    ends=Ends(norm="embedding_norm"),
    kinds=indexed("full_attn_idxs", "full"),
)
_LFM2_MOE: Final = _LFM2._replace(
    dense=FeedForward(("feed_forward.w1", "feed_forward.w3"), "feed_forward.w2"),
    experts=Routed(
        "feed_forward.experts", "feed_forward.gate", narrow=True, width=("moe_intermediate_size",)
    ),
    kinds=listed_alone,
    sparse=after_first("num_dense_layers"),
)
_MINIMAX: Final = MISTRAL._replace(
    recurrence=Lightning(),
    dense=None,
    experts=Routed(width=("intermediate_size",)),
    kinds=alternating,
    sparse=always,
    flow=Flow(adds_normed=True),
)
_KIMI_LINEAR: Final = Family(
    Latent(),
    ChannelDelta(),
    FeedForward(),
    Routed(
        shared=Shared(gated("mlp.shared_experts", "moe_intermediate_size"), ("num_shared_experts",)),
        total=("num_experts",),
        active=("num_experts_per_token",),
        width=("moe_intermediate_size",),
    ),
    ends=Ends(ties=False),
    kinds=kimi,
    sparse=after_dense,
    flow=Flow(rotary=0.0),
)
_RECURRENT_GEMMA: Final = Family(
    Projections(grouped, "temporal_block", bias="attention_bias", out_bias=True),
    GatedUnit(),
    FeedForward(
        ("mlp_block.gate_proj", "mlp_block.up_proj"), "mlp_block.down_proj", bias=True, fitted=halved
    ),
    norms=Norms(("temporal_pre_norm",), ("channel_pre_norm",)),
    ends=Ends(norm="final_norm"),
    kinds=blocked,
    flow=Flow(norm="rms-fp32", rotary=0.5),
)
_OLMO_HYBRID: Final = Family(
    Projections(grouped, bias="attention_bias", norms=HeadNorms("full")),
    Delta(
        parts=("q", "k", "v", "a", "b", "z"),
        names=("q_proj", "k_proj", "v_proj", "a_proj", "b_proj", "g_proj"),
        out="o_proj",
        norm="o_norm",
    ),
    FeedForward(),
    norms=Norms(("post_attention_layernorm",), ("post_feedforward_layernorm",)),
    kinds=every(4, other="linear"),
    flow=Flow(norm="rms-fp32", order="post", rotates="promoted"),
    recurring=(Norms(), Flow(norm="rms-fp32")),
)

HYBRID: Final[dict[str, Family]] = {
    "bamba": _BAMBA,
    "falcon_h1": _FALCON_H1,
    "falcon_mamba": _MAMBA,
    "gemma4_text": _GEMMA4,
    "granitemoehybrid": _GRANITE_HYBRID,
    "jamba": _JAMBA,
    "kimi_linear": _KIMI_LINEAR,
    "lfm2": _LFM2,
    "lfm2_moe": _LFM2_MOE,
    "mamba": _MAMBA,
    "mamba2": _MAMBA2,
    "minimax": _MINIMAX,
    "nemotron-nas": MISTRAL._replace(kinds=None, shapes=blocks),
    "nemotron_h": _NEMOTRON_H,
    "olmo_hybrid": _OLMO_HYBRID,
    "qwen3_5_moe_text": _QWEN3_5_MOE,
    "qwen3_5_text": _QWEN3_5,
    "qwen3_next": _QWEN3_5_MOE._replace(recurrence=Delta()),
    "recurrent_gemma": _RECURRENT_GEMMA,
}
