"""More decoders with experts: those that combine attention, norms and experts of the other rows anew."""

from __future__ import annotations

from typing import Final

from ullage.facts.families.family import (
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
from ullage.facts.families.heads import doubled_where_sliding, gated_by_head, grouped
from ullage.facts.families.kinds import (
    after_dense,
    after_first,
    after_one,
    always,
    beyond_full,
    every,
    first_and_sixth,
    frequent,
    own_indexer,
    prefixed,
    prefixed_rotate,
    ranged,
    where_windowed,
    windowed,
    windows_rotate,
    windows_rotate_if_any,
    with_one_shared,
)
from ullage.facts.families.rows.dense import DENSE, LLAMA, MISTRAL, QWEN3
from ullage.facts.families.rows.later import LATER
from ullage.facts.families.rows.routed import ROUTED, SHARED_COUNTED, gated
from ullage.facts.flow import Flow

_BIASED: Final = Projections(grouped, bias="attention_bias")
_SHARED_NUMBERED: Final = Shared(gated("mlp.shared_experts"), ("num_shared_experts",))
_WITHOUT_DENSE: Final = MISTRAL._replace(dense=None, kinds=None, experts=Routed(), sparse=always)
_QWEN3_MIXED: Final = QWEN3._replace(kinds=None, experts=Routed())
_DEEPSEEK: Final = ROUTED["deepseek_v3"]
_ERNIE_SHARED: Final = gated("mlp.shared_experts")._replace(bias="use_bias")
_GRANITE_SHARED: Final = ROUTED["granitemoe"]._replace(
    experts=Routed(
        "block_sparse_moe.experts",
        "block_sparse_moe.router",
        narrow=True,
        shared=Shared(
            FeedForward(
                ("shared_mlp.input_linear",),
                "shared_mlp.output_linear",
                width=("shared_intermediate_size",),
            )
        ),
        width=("intermediate_size",),
    ),
)

MIXTURES: Final[dict[str, Family]] = {
    "afmoe": QWEN3._replace(
        attention=_BIASED._replace(norms=HeadNorms(), gate="gate_proj"),
        experts=Routed(
            router="mlp.router.gate",
            router_role="linear",
            correction=("mlp.expert_bias", ()),
            shared=_SHARED_NUMBERED,
        ),
        norms=Norms(
            ("input_layernorm", "post_attention_layernorm"), ("pre_mlp_layernorm", "post_mlp_layernorm")
        ),
        kinds=every(4, "global_attn_every_n_layers"),
        sparse=after_first("num_dense_layers"),
        rotates=windows_rotate,
        flow=Flow(norm="rms-fp32", order="sandwich", shared_first=True),
    ),
    "axk1": _DEEPSEEK._replace(norms=Norms(experts=("mlp.post_mlp_layernorm",)), flow=Flow(pairs=True)),
    "cohere2_moe": DENSE["cohere2"]._replace(
        attention=_BIASED,
        dense=FeedForward(width=("prefix_dense_intermediate_size", "intermediate_size")),
        experts=Routed(narrow=True, shared=_SHARED_NUMBERED, width=("intermediate_size",)),
        kinds=prefixed,
        sparse=after_dense,
        rotates=prefixed_rotate,
        rms_where="rms_norm_eps",
    ),
    "dots1": _QWEN3_MIXED._replace(
        experts=Routed(shared=SHARED_COUNTED), kinds=beyond_full, sparse=after_dense
    ),
    "ernie4_5_moe": LLAMA._replace(
        attention=Projections(grouped, bias="use_bias"),
        dense=FeedForward(bias="use_bias"),
        experts=Routed(
            narrow=True,
            shared=Shared(_ERNIE_SHARED, ("moe_num_shared_experts",)),
            correction=("mlp.gate.moe_statics.e_score_correction_bias", (1,)),
            total=("moe_num_experts", "num_experts"),
            active=("moe_k", "num_experts_per_tok"),
        ),
        ends=Ends(head_bias="use_bias"),
        kinds=None,
        sparse=ranged,
        flow=Flow(rotates="cast", shared_first=True),
    ),
    "exaone_moe": _QWEN3_MIXED._replace(
        attention=Projections(grouped, norms=HeadNorms()),
        experts=Routed(shared=_SHARED_NUMBERED),
        kinds=where_windowed(every(4, "sliding_window_pattern")),
        sparse=after_dense,
        rotates=windows_rotate_if_any,
    ),
    "flex_olmo": DENSE["olmo2"]._replace(dense=None, kinds=None, experts=Routed(narrow=True), sparse=always),
    "glm4_moe_lite": _DEEPSEEK._replace(sparse=after_one),
    "glm_moe_dsa": ROUTED["deepseek_v32"]._replace(indexes=own_indexer),
    "granitemoe_swa": LATER["granite_swa"]._replace(
        dense=None, experts=_GRANITE_SHARED.experts, sparse=always
    ),
    "granitemoeshared": _GRANITE_SHARED,
    "hunyuan_v1_moe": LATER["hunyuan_v1_dense"]._replace(
        dense=None,
        experts=Routed(
            router="mlp.gate.wg",
            router_role="linear",
            shared=Shared(gated("mlp.shared_mlp", "intermediate_size")),
            active=("moe_topk", "num_experts_per_tok"),
            width=("intermediate_size",),
        ),
        sparse=with_one_shared,
        flow=LATER["hunyuan_v1_dense"].flow._replace(shared_first=True),
    ),
    "hy_v3": _QWEN3_MIXED._replace(
        dense=FeedForward(bias="mlp_bias"),
        experts=Routed(
            shared=Shared(gated("mlp.shared_experts")._replace(bias="mlp_bias"), ("num_shared_experts",))
        ),
        sparse=after_one,
    ),
    "laguna": QWEN3._replace(
        attention=_BIASED._replace(norms=HeadNorms(), gate="g_proj", gate_a_head=gated_by_head),
        experts=Routed(
            narrow=True,
            correction=("mlp.gate.e_score_correction_bias", ()),
            shared=Shared(gated("mlp.shared_experts", "shared_expert_intermediate_size")),
        ),
        kinds=None,
        sparse=after_one,
        heads_each="num_attention_heads_per_layer",
        flow=Flow(shared_first=True, gated="last"),
        local_rotary=True,
    ),
    "mellum": _QWEN3_MIXED._replace(experts=Routed(narrow=True), sparse=always, local_rotary=True),
    "mimo_v2_flash": MISTRAL._replace(
        attention=Projections(
            doubled_where_sliding, bias="attention_bias", out_bias=False, sinks="sinks", sinks_slide=True
        ),
        experts=Routed(),
        kinds=first_and_sixth,
        sparse=after_one,
        flow=Flow(rotary=0.334, scores="less"),
        local_rotary=True,
    ),
    "minimax_m2": _WITHOUT_DENSE._replace(attention=Projections(grouped, norms=HeadNorms("full"))),
    "minimax_m3_vl_text": Family(
        Projections(grouped, norms=HeadNorms()),
        dense=FeedForward(("mlp.gate_up_proj",), "mlp.down_proj", width=("dense_intermediate_size",)),
        experts=Routed(
            shared=Shared(
                FeedForward(
                    ("mlp.shared_experts.gate_up_proj",),
                    "mlp.shared_experts.down_proj",
                    width=("shared_intermediate_size",),
                )
            ),
            width=("intermediate_size",),
        ),
        sparse=frequent,
        flow=Flow(norm="rms-fp32", experts="scaled", shared_first=True),
        refused=("sparse_attention_config",),
    ),
    "olmoe": _WITHOUT_DENSE._replace(
        attention=_BIASED._replace(norms=HeadNorms("full")),
        experts=Routed(narrow=True),
        flow=Flow(router="softmax"),
    ),
    "phimoe": _WITHOUT_DENSE._replace(
        attention=_BIASED,
        experts=Routed(router="mlp.router", router_role="linear", narrow=True),
        norms=Norms(bias=True),
        ends=Ends(head_bias="lm_head_bias"),
        kinds=windowed,
        flow=Flow(norm="layer"),
    ),
    "solar_open": _WITHOUT_DENSE._replace(
        attention=_BIASED._replace(out_bias=False), experts=Routed(shared=SHARED_COUNTED)
    ),
    "youtu": Family(Latent(), dense=FeedForward(), flow=Flow(pairs=True)),
}
