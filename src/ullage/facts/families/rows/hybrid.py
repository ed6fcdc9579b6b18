"""Decoders with a recurrent state in some layers or all, and those whose layers differ in their sizes."""

from __future__ import annotations

from typing import Final

from ullage.facts.families.family import (
    NORMED_TWICE,
    Delta,
    Ends,
    Family,
    FeedForward,
    HeadNorms,
    Mamba,
    Mamba2,
    Norms,
    Projections,
    Routed,
    Shared,
)
from ullage.facts.families.heads import gemma4, grouped
from ullage.facts.families.kinds import attending, every, periodic, recurrent, stepped, where_counted
from ullage.facts.families.rows.dense import MISTRAL
from ullage.facts.families.rows.routed import SHARED_GATED, gated
from ullage.facts.families.varied import blocks, gemma4_embeddings, gemma4_inputs, gemma4_layer, one_part_each
from ullage.facts.flow import Flow

_MAMBA: Final = Family(None, Mamba(width=("intermediate_size",)), norms=Norms(("norm",), ()), kinds=recurrent)
_JAMBA: Final = Family(
    Projections(grouped),
    Mamba("mamba", conv_bias="mamba_conv_bias", bias="mamba_proj_bias", inner_norms=True),
    gated("feed_forward", "intermediate_size"),
    Routed("feed_forward.experts", "feed_forward.router", "linear", width=("intermediate_size",)),
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
        width=("moe_intermediate_size",),
    ),
    Norms(("norm",), ("norm",)),
    ends=Ends(ties=False),
    shapes=one_part_each,
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
    experts=Routed(width=("moe_intermediate_size",), shared=SHARED_GATED),
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
    refused=("num_kv_shared_layers", "use_double_wide_mlp"),
)

HYBRID: Final[dict[str, Family]] = {
    "falcon_mamba": _MAMBA,
    "gemma4_text": _GEMMA4,
    "granitemoehybrid": _GRANITE_HYBRID,
    "jamba": _JAMBA,
    "mamba": _MAMBA,
    "nemotron-nas": MISTRAL._replace(kinds=None, shapes=blocks),
    "nemotron_h": _NEMOTRON_H,
    "qwen3_5_moe_text": _QWEN3_5_MOE,
    "qwen3_5_text": _QWEN3_5,
    "qwen3_next": _QWEN3_5_MOE._replace(recurrence=Delta()),
}
