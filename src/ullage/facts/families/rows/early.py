"""Decoders whose blocks are not laid out like Llama's: most of them came before it."""

from __future__ import annotations

from typing import Final

from ullage.facts.families.family import Ends, Family, FeedForward, HeadNorms, Norms, Projections
from ullage.facts.families.heads import grouped, multi_query, ungrouped
from ullage.facts.families.rows.dense import DENSE
from ullage.facts.families.varied import dense_bias, stablelm_norms
from ullage.facts.flow import Flow

_GPT2: Final = DENSE["gpt2"]
_GELU: Final = FeedForward(
    ("mlp.dense_h_to_4h",), "mlp.dense_4h_to_h", gated=False, bias=True, width=("intermediate_size",)
)
_TWO: Final = FeedForward(("mlp.fc_in",), "mlp.fc_out", gated=False, bias=True, width=("n_inner",), times=4)
_GPTJ: Final = Family(
    Projections(ungrouped, "attn", out="out_proj"),
    dense=_TWO,
    norms=Norms(("ln_1",), (), bias=True),
    ends=Ends(tokens="wte", norm="ln_f", head_bias=True),
    flow=Flow(norm="layer", order="parallel", keeps_parts=True, scores="full", passes_weights=True),
)
_GPT_NEO: Final = Family(
    Projections(ungrouped, "attn.attention", out="out_proj", out_bias=True),
    dense=FeedForward(
        ("mlp.c_fc",), "mlp.c_proj", gated=False, bias=True, width=("intermediate_size",), times=4
    ),
    norms=Norms(("ln_1",), ("ln_2",), bias=True),
    ends=Ends(tokens="wte", positions="wpe", norm="ln_f"),
    flow=Flow(
        norm="layer",
        rotary=0.0,
        positions="shared",
        keeps_attention=True,
        scores="full",
        passes_weights=True,
    ),
)
_GPT_BIGCODE: Final = _GPT2._replace(
    attention=Projections(multi_query, "attn", fused="c_attn", out="c_proj", bias=True), transposed=False
)
_BLOOM: Final = Family(
    Projections(ungrouped, "self_attention", fused="query_key_value", out="dense", bias=True),
    dense=_GELU._replace(width=(), times=4),
    norms=Norms(bias=True),
    ends=Ends(tokens="word_embeddings", tokens_norm="word_embeddings_layernorm", norm="ln_f"),
    flow=Flow(
        norm="layer",
        rotary=0.0,
        activation=(4, 0),
        scores="kept",
        biases="each",
        passes_weights=True,
        makes_mask=True,
    ),
)
_MPT: Final = Family(
    Projections(ungrouped, "attn", fused="Wqkv", out="out_proj"),
    dense=FeedForward(("ffn.up_proj",), "ffn.down_proj", gated=False, width=(), times=4),
    norms=Norms(("norm_1",), ("norm_2",)),
    ends=Ends(tokens="wte", norm="norm_f"),
    flow=Flow(
        norm="layer",
        rotary=0.0,
        keeps_attention=True,
        scores="promoted",
        biases="table",
        passes_weights=True,
    ),
)
_PERSIMMON: Final = Family(
    Projections(
        ungrouped,
        fused="query_key_value",
        out="dense",
        bias=True,
        norms=HeadNorms(names=("q_layernorm", "k_layernorm"), bias=True, when="qk_layernorm"),
    ),
    dense=_GELU,
    norms=Norms(bias=True),
    ends=Ends(norm="final_layernorm"),
    flow=Flow(norm="layer", rotary=0.5, keeps_parts=True),
)
_STABLELM: Final = Family(
    Projections(
        grouped,
        bias="use_qkv_bias",
        out_bias=False,
        norms=HeadNorms("apart", names=("q_layernorm", "k_layernorm"), when="qk_layernorm"),
    ),
    dense=FeedForward(),
    norms=stablelm_norms,
    flow=Flow(
        norm="layer",
        order="parallel",
        rotary=0.25,
        keeps_parts=True,
        keeps_attention=True,
        keeps_normed=True,
    ),
    pre_unless="use_parallel_residual",
)
_XGLM: Final = Family(
    Projections(ungrouped, out="out_proj", bias=True),
    dense=FeedForward(("fc1",), "fc2", gated=False, bias=True, width=("ffn_dim",)),
    norms=Norms(("self_attn_layer_norm",), ("final_layer_norm",), bias=True),
    ends=Ends(norm="layer_norm"),
    flow=Flow(norm="layer", rotary=0.0, positions="shared", scales_query=True, scores="narrow"),
)
_GPT_NEOX_JAPANESE: Final = Family(
    Projections(ungrouped, "attention", fused="query_key_value", out="dense"),
    dense=_GELU._replace(bias=False, width=(), times="intermediate_multiple_size"),
    norms=Norms(bias=True),
    ends=Ends(tokens="embed_in", norm="final_layer_norm"),
    last=dense_bias,
    flow=Flow(norm="layer", joins_rotary=True, keeps_normed=True, scores="added", passes_weights=True),
)
_CTRL: Final = Family(
    Projections(ungrouped, "multi_head_attention", ("Wq", "Wk", "Wv"), out="dense", bias=True),
    dense=FeedForward(("ffn.0",), "ffn.2", gated=False, bias=True, width=("dff",)),
    norms=Norms(("layernorm1",), ("layernorm2",), bias=True),
    ends=Ends(tokens="w", norm="layernorm", head_bias=True),
    flow=Flow(norm="layer", rotary=0.0, positions="shared", keeps_attention=True, keeps_normed=True),
)
_BIOGPT: Final = _XGLM._replace(
    dense=FeedForward(("fc1",), "fc2", gated=False, bias=True),
    ends=Ends(positions="embed_positions", more_rows=2, norm="layer_norm"),
    flow=Flow(norm="layer", rotary=0.0, positions="shared", drops_normed=True, makes_mask=True),
)

EARLY: Final[dict[str, Family]] = {
    "biogpt": _BIOGPT,
    "bloom": _BLOOM,
    "codegen": _GPTJ._replace(attention=Projections(ungrouped, "attn", fused="qkv_proj", out="out_proj")),
    "ctrl": _CTRL,
    "gpt-sw3": _GPT2,
    "gpt_bigcode": _GPT_BIGCODE,
    "gpt_neo": _GPT_NEO,
    "gpt_neox_japanese": _GPT_NEOX_JAPANESE,
    "gptj": _GPTJ,
    "mpt": _MPT,
    "persimmon": _PERSIMMON,
    "stablelm": _STABLELM,
    "xglm": _XGLM,
}
