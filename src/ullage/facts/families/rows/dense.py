"""Decoders whose layers are attention and one dense feed-forward part."""

from __future__ import annotations

from typing import Final

from ullage.facts.families.family import (
    NORMED_TWICE,
    Ends,
    Family,
    FeedForward,
    HeadNorms,
    Norms,
    Projections,
)
from ullage.facts.families.heads import falcon, grouped, ungrouped
from ullage.facts.families.kinds import (
    every,
    listed_rotate,
    unrotated_slide,
    where_windowed,
    windowed,
    windows_rotate,
    windows_rotate_if_any,
)
from ullage.facts.families.switch import Unless
from ullage.facts.families.varied import falcon_norms, opt_norm
from ullage.facts.flow import Flow

_BIASED: Final = Projections(grouped, bias="attention_bias")
_PLAIN: Final = Projections(grouped)
_FUSED: Final = FeedForward(("mlp.gate_up_proj",))
_LAYER: Final = Flow(norm="layer")
_FP32: Final = Flow(norm="rms-fp32")
_EACH: Final = Flow(rotates_each=True)
_GELU: Final = FeedForward(("mlp.dense_h_to_4h",), "mlp.dense_4h_to_h", gated=False, bias=True)

LLAMA: Final = Family(_BIASED, dense=FeedForward(bias="mlp_bias"), kinds=windowed)
MISTRAL: Final = Family(_PLAIN, dense=FeedForward(), kinds=windowed)
QWEN2: Final = MISTRAL._replace(attention=_PLAIN._replace(bias=True, out_bias=False))
QWEN3: Final = MISTRAL._replace(attention=_BIASED._replace(norms=HeadNorms()))
GEMMA: Final = MISTRAL._replace(attention=_BIASED, flow=_FP32)
GEMMA2: Final = GEMMA._replace(
    norms=NORMED_TWICE,
    kinds=every(2, "sliding_window_pattern", "_sliding_window_pattern"),
    flow=_FP32._replace(order="sandwich"),
)
_GEMMA3: Final = GEMMA2._replace(
    attention=QWEN3.attention,
    kinds=every(6, "sliding_window_pattern", "_sliding_window_pattern"),
    local_rotary=True,
)
_PHI: Final = Family(
    _PLAIN._replace(
        bias=True,
        out="dense",
        norms=HeadNorms(names=("q_layernorm", "k_layernorm"), bias=True, when="qk_layernorm"),
    ),
    dense=FeedForward(("mlp.fc1",), "mlp.fc2", gated=False, bias=True),
    norms=Norms(part=(), bias=True),
    ends=Ends(head_bias=True),
    kinds=windowed,
    flow=Flow(norm="layer", order="parallel", joins_rotary=True, keeps_parts=True),
)
_PHI3: Final = MISTRAL._replace(
    attention=_PLAIN._replace(fused="qkv_proj"), dense=_FUSED, flow=Flow(joins_rotary=True)
)
_GPT2: Final = Family(
    Projections(ungrouped, "attn", fused="c_attn", out="c_proj", bias=True),
    dense=FeedForward(
        ("mlp.c_fc",),
        "mlp.c_proj",
        gated=False,
        bias=True,
        width=("n_inner", "intermediate_size"),
        times=4,
    ),
    norms=Norms(("ln_1",), ("ln_2",), bias=True),
    ends=Ends(positions="wpe", position_rows=("n_positions", "max_position_embeddings")),
    transposed=True,
    flow=Flow(norm="layer", rotary=0.0, positions="shared", keeps_attention=True),
)
_OPT: Final = Family(
    Projections(ungrouped, out="out_proj", bias="enable_bias"),
    dense=FeedForward(
        ("fc1",), "fc2", gated=False, bias="enable_bias", width=("ffn_dim", "intermediate_size")
    ),
    norms=Norms(
        ("self_attn_layer_norm",),
        ("final_layer_norm",),
        bias=True,
        weighed=Unless("layer_norm_elementwise_affine"),
    ),
    ends=Ends(
        positions="embed_positions",
        more_rows=2,
        narrow="word_embed_proj_dim",
        norm_when=opt_norm,
    ),
    flow=Flow(norm="layer", rotary=0.0, positions="each", scales_query=True, drops_normed=True),
)
_GPT_NEOX: Final = Family(
    Projections(ungrouped, "attention", fused="query_key_value", out="dense", bias="attention_bias"),
    dense=_GELU,
    norms=Norms(bias=True),
    flow=Flow(norm="layer", order="parallel", joins_rotary=True),
    pre_unless="use_parallel_residual",
)
_FALCON: Final = Family(
    Projections(falcon, "self_attention", fused="query_key_value", out="dense", bias="bias"),
    dense=_GELU._replace(bias="bias", width=("ffn_hidden_size", "intermediate_size"), times=4),
    norms=falcon_norms,
    flow=Flow(norm="layer", order="parallel", broadcasts=True),
    pre_unless="parallel_attn",
    flow_open="its own eager attention, and the copies of Falcon-40B's decoder",
)
_STARCODER2: Final = Family(
    _PLAIN._replace(bias="use_bias"),
    dense=FeedForward(("mlp.c_fc",), "mlp.c_proj", gated=False, bias="use_bias"),
    norms=Norms(bias=True),
    kinds=windowed,
    flow=_LAYER,
)
_OLMO2: Final = MISTRAL._replace(
    attention=_BIASED._replace(norms=HeadNorms("full")),
    norms=Norms(("post_attention_layernorm",), ("post_feedforward_layernorm",)),
    flow=Flow(norm="rms-fp32", order="post", rotates="promoted"),
)
_COHERE: Final = MISTRAL._replace(
    attention=_BIASED._replace(norms=HeadNorms("each", when="use_qk_norm")),
    norms=Norms(part=()),
    flow=Flow(norm="layer-fp32", order="parallel", rotates="copies"),
)
_GLM: Final = MISTRAL._replace(
    attention=_BIASED._replace(out_bias=False), dense=_FUSED, flow=Flow(joins_rotary=True)
)

_OLMO: Final = LLAMA._replace(
    dense=FeedForward(),
    norms=Norms(weighed=False),
    kinds=None,
    flow=Flow(norm="layer-cast", rotates="promoted"),
)
_EXAONE4: Final = MISTRAL._replace(
    attention=_PLAIN._replace(norms=HeadNorms()),
    norms=_OLMO2.norms,
    kinds=where_windowed(every(4, "sliding_window_pattern")),
    rotates=windows_rotate_if_any,
    flow=Flow(order="post"),
)

DENSE: Final[dict[str, Family]] = {
    "arcee": LLAMA._replace(
        dense=FeedForward(("mlp.up_proj",), "mlp.down_proj", gated=False, bias="mlp_bias"), kinds=None
    ),
    "cohere": _COHERE,
    "cohere2": _COHERE._replace(
        kinds=every(4, "sliding_window_pattern", "_sliding_window_pattern"),
        rotates=windows_rotate,
    ),
    "cwm": LLAMA._replace(attention=_PLAIN, kinds=every(4, first=True)),
    "ernie4_5": LLAMA._replace(
        attention=_PLAIN._replace(bias="use_bias"),
        dense=FeedForward(bias="use_bias"),
        kinds=None,
        flow=Flow(rotates="cast"),
    ),
    "exaone4": _EXAONE4,
    "falcon": _FALCON,
    "gemma": GEMMA,
    "gemma2": GEMMA2,
    "gemma3_text": _GEMMA3,
    "glm": _GLM,
    "gpt2": _GPT2,
    "gpt_neox": _GPT_NEOX,
    "granite": LLAMA,
    "helium": LLAMA._replace(attention=_BIASED._replace(out_bias=False), kinds=None, flow=_FP32),
    "llama": LLAMA,
    "mistral": MISTRAL,
    "olmo": _OLMO,
    "olmo2": _OLMO2,
    "olmo3": _OLMO2._replace(kinds=every(4)),
    "opt": _OPT,
    "phi": _PHI,
    "phi3": _PHI3,
    "qwen2": QWEN2,
    "qwen2_5_vl_text": QWEN2._replace(flow=_EACH),
    "qwen3": QWEN3,
    "qwen3_vl_text": QWEN3._replace(flow=_EACH),
    "seed_oss": LLAMA._replace(attention=_BIASED._replace(out_bias="attention_out_bias"), kinds=None),
    "smollm3": LLAMA._replace(kinds=unrotated_slide, rotates=listed_rotate),
    "starcoder2": _STARCODER2,
}
