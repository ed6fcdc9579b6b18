"""Encoders: each position attends to all, nothing is cached, and what stands on the layers is the task's."""

from __future__ import annotations

from typing import Final

from ullage.facts.families.encoders import (
    deberta_embeddings,
    deberta_layer,
    deberta_positions,
    distances,
    halved,
    mpnet_bias,
    token_types,
)
from ullage.facts.families.family import Ends, Extras, Family, FeedForward, Norms, Projections
from ullage.facts.families.heads import grouped, ungrouped
from ullage.facts.families.kinds import every
from ullage.facts.families.tasks import (
    CLASSIFIES,
    MODEL,
    decoded,
    joined,
    labelled,
    masked,
    modern,
    nothing,
    paired,
    square,
)
from ullage.facts.flow import Flow

_POOLER: Final = square("pooler.dense")
_ALONE: Final[dict[str, Extras]] = {
    "ForTokenClassification": labelled("classifier"),
    "ForQuestionAnswering": labelled("qa_outputs"),
}
_BERT_WORDS: Final = masked(
    "cls.predictions.transform.dense",
    "cls.predictions.transform.LayerNorm",
    "cls.predictions.decoder",
    "cls.predictions.bias",
)
_ROBERTA_TASKS: Final[dict[str, Extras]] = {
    MODEL: _POOLER,
    CLASSIFIES: joined(square("classifier.dense"), labelled("classifier.out_proj")),
    "ForMaskedLM": masked("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", "lm_head.bias"),
    **_ALONE,
}
_ENDS: Final = Ends(
    tokens="embeddings.word_embeddings",
    tokens_norm="embeddings.LayerNorm",
    positions="embeddings.position_embeddings",
    extras=token_types,
    norm_when=False,
    ties=False,
)
_BERT: Final = Family(
    Projections(
        ungrouped,
        "attention",
        ("self.query", "self.key", "self.value"),
        out="output.dense",
        bias=True,
        causal=False,
    ),
    dense=FeedForward(("intermediate.dense",), "output.dense", gated=False, bias=True),
    norms=Norms(("attention.output.LayerNorm",), ("output.LayerNorm",), bias=True),
    ends=_ENDS,
    flow=Flow(norm="layer", order="added", rotary=0.0, outlives="both", softmax="compute"),
    refused=("is_decoder", "add_cross_attention"),
    tasks={
        MODEL: _POOLER,
        CLASSIFIES: joined(_POOLER, labelled("classifier")),
        "ForMaskedLM": _BERT_WORDS,
        "ForPreTraining": joined(_POOLER, _BERT_WORDS, paired),
        **_ALONE,
    },
)
_ROBERTA: Final = _BERT._replace(ends=_ENDS._replace(after_padding=True), tasks=_ROBERTA_TASKS)
_MPNET: Final = _ROBERTA._replace(
    attention=Projections(
        ungrouped, "attention", ("attn.q", "attn.k", "attn.v"), out="attn.o", bias=True, causal=False
    ),
    norms=Norms(("attention.LayerNorm",), ("output.LayerNorm",), bias=True),
    ends=_ENDS._replace(after_padding=True, extras=mpnet_bias),
    flow=Flow(norm="layer", order="added", rotary=0.0, outlives="part", softmax="compute", scores="biased"),
    refused=(),
)
_DISTILBERT: Final = Family(
    Projections(ungrouped, "attention", ("q_lin", "k_lin", "v_lin"), out="out_lin", bias=True, causal=False),
    dense=FeedForward(("ffn.lin1",), "ffn.lin2", gated=False, bias=True, width=("hidden_dim",)),
    norms=Norms(("sa_layer_norm",), ("output_layer_norm",), bias=True),
    ends=_ENDS._replace(extras=None),
    flow=Flow(norm="layer", order="added", rotary=0.0, softmax="compute"),
    tasks={
        MODEL: nothing,
        CLASSIFIES: joined(square("pre_classifier"), labelled("classifier")),
        "ForMaskedLM": masked("vocab_transform", "vocab_layer_norm", "vocab_projector"),
        **_ALONE,
    },
)
_MODERNBERT: Final = Family(
    Projections(
        grouped,
        "attn",
        fused="Wqkv",
        out="Wo",
        bias="attention_bias",
        causal=False,
        window=halved("local_attention"),
    ),
    dense=FeedForward(("mlp.Wi",), "mlp.Wo", bias="mlp_bias"),
    norms=Norms(("attn_norm",), ("mlp_norm",), bias="norm_bias"),
    ends=Ends(
        tokens="embeddings.tok_embeddings", tokens_norm="embeddings.norm", norm="final_norm", ties=False
    ),
    kinds=every(3, "global_attn_every_n_layers", first=True),
    flow=Flow(norm="layer", rotates="apart", keeps_attention=True),
    local_rotary=True,
    opens_normed=True,
    tasks={
        MODEL: nothing,
        CLASSIFIES: modern(labelled("classifier")),
        "ForMaskedLM": modern(decoded),
        "ForTokenClassification": modern(labelled("classifier")),
        "ForQuestionAnswering": modern(labelled("classifier")),
    },
)
_DEBERTA: Final = _BERT._replace(
    attention=Projections(
        ungrouped,
        "attention",
        ("self.query_proj", "self.key_proj", "self.value_proj"),
        out="output.dense",
        bias=True,
        causal=False,
        distances=distances,
    ),
    ends=_ENDS._replace(extras=deberta_embeddings, positions_when=deberta_positions),
    extras=deberta_layer,
    flow=Flow(
        norm="layer", order="added", rotary=0.0, outlives="both", softmax="compute", scores="disentangled"
    ),
    refused=("conv_kernel_size", "embedding_size", "z_steps"),
    tasks={
        MODEL: nothing,
        CLASSIFIES: joined(square("pooler.dense", "pooler_hidden_size"), labelled("classifier")),
        "ForMaskedLM": _BERT_WORDS,
        **_ALONE,
    },
)

ENCODER: Final[dict[str, Family]] = {
    "bert": _BERT,
    "camembert": _ROBERTA,
    "deberta-v2": _DEBERTA,
    "distilbert": _DISTILBERT,
    "modernbert": _MODERNBERT,
    "mpnet": _MPNET,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
