"""Decoders with experts, and those with multi-head latent attention."""

from __future__ import annotations

from typing import Final

from ullage.facts.families.family import Family, FeedForward, HeadNorms, Latent, Projections, Routed, Shared
from ullage.facts.families.heads import floored, grouped
from ullage.facts.families.kinds import (
    after_dense,
    always,
    every,
    interleaved,
    stepped,
    windows_rotate,
    without_rope,
)
from ullage.facts.families.rows.dense import LLAMA, MISTRAL, QWEN2, QWEN3
from ullage.facts.families.switch import Unless
from ullage.facts.flow import Flow


def gated(where: str, *width: str) -> FeedForward:
    """A gated part with the usual names."""
    return FeedForward((f"{where}.gate_proj", f"{where}.up_proj"), f"{where}.down_proj", width=width)


SHARED_GATED: Final = Shared(
    gated("mlp.shared_expert", "shared_expert_intermediate_size"), gate="mlp.shared_expert_gate"
)
_BIASED_DENSE: Final = FeedForward(bias="mlp_bias")
SHARED_COUNTED: Final = Shared(gated("mlp.shared_experts"), ("n_shared_experts",))

_MIXTRAL: Final = MISTRAL._replace(dense=None, experts=Routed(), sparse=always, flow=Flow(router="softmax"))
_QWEN3_MOE: Final = QWEN3._replace(experts=Routed(narrow=True), sparse=stepped, flow=Flow(router="softmax"))
_GLM4_MOE: Final = MISTRAL._replace(
    attention=Projections(floored, bias="attention_bias", out_bias=False),
    experts=Routed(shared=SHARED_COUNTED),
    sparse=after_dense,
)
_LLAMA4: Final = LLAMA._replace(
    dense=gated("feed_forward", "intermediate_size_mlp"),
    experts=Routed(
        "feed_forward.experts",
        "feed_forward.router",
        "linear",
        transposed=True,
        shared=Shared(gated("feed_forward.shared_expert")),
    ),
    kinds=without_rope(4),
    sparse=interleaved,
    rotates=windows_rotate,
    flow=Flow(experts="every", keeps_attention=True),
)
_GPT_OSS: Final = Family(
    Projections(grouped, bias="attention_bias", sinks="sinks"),
    experts=Routed(router="mlp.router", narrow=True, bias=True, router_bias=True, transposed=True),
    kinds=every(2, "sliding_window_pattern", "_sliding_window_pattern"),
    sparse=always,
    flow=Flow(experts="clamped", scores="less"),
)
_DEEPSEEK: Final = Family(
    Latent(), dense=FeedForward(), experts=Routed(shared=SHARED_COUNTED), sparse=after_dense
)

ROUTED: Final[dict[str, Family]] = {
    "deepseek_v2": _DEEPSEEK._replace(
        dense=_BIASED_DENSE,
        experts=Routed(
            shared=Shared(gated("mlp.shared_experts")._replace(bias="mlp_bias"), ("n_shared_experts",))
        ),
    ),
    "deepseek_v3": _DEEPSEEK._replace(flow=Flow(pairs=True, router="sigmoid")),
    "deepseek_v32": _DEEPSEEK._replace(attention=Latent(indexer=True)),
    "glm4_moe": _GLM4_MOE._replace(
        attention=Projections(
            floored, bias="attention_bias", out_bias=False, norms=HeadNorms(when="use_qk_norm")
        ),
        flow=Flow(router="sigmoid"),
    ),
    "glm4v_moe_text": _GLM4_MOE._replace(flow=Flow(rotates_each=True)),
    "gpt_oss": _GPT_OSS,
    "granitemoe": Family(
        Projections(grouped, bias="attention_bias"),
        experts=Routed(
            "block_sparse_moe.experts",
            "block_sparse_moe.router",
            narrow=True,
            width=("intermediate_size",),
        ),
        sparse=always,
    ),
    "llama4_text": _LLAMA4,
    "minicpm3": Family(Latent(), dense=_BIASED_DENSE),
    "mixtral": _MIXTRAL,
    "qwen2_moe": QWEN2._replace(
        attention=Projections(grouped, bias=Unless("qkv_bias"), out_bias=False),
        experts=Routed(narrow=True, shared=SHARED_GATED),
        sparse=stepped,
        flow=Flow(shared_first=True, router="softmax"),
    ),
    "qwen3_moe": _QWEN3_MOE,
    "qwen3_vl_moe_text": _QWEN3_MOE._replace(flow=Flow(rotates_each=True)),
}
