"""Decoders laid out like Llama's, with norms, activations or orders of their own."""

from __future__ import annotations

from typing import Final

from ullage.facts.families.family import Family, FeedForward, HeadNorms, Latent, Norms, Projections
from ullage.facts.families.heads import grouped
from ullage.facts.families.kinds import every, thetas_rotate
from ullage.facts.families.rows.dense import DENSE, GEMMA2, LLAMA, MISTRAL
from ullage.facts.families.varied import peri_norms, with_lambdas, with_sub_norms, with_xielu
from ullage.facts.flow import Flow

_BIASED: Final = Projections(grouped, bias="attention_bias")
_UP_DOWN: Final = FeedForward(("mlp.up_proj",), "mlp.down_proj", gated=False, bias="mlp_bias")

_VAULTGEMMA: Final = GEMMA2._replace(
    norms=Norms(part=("pre_feedforward_layernorm",)), flow=Flow(norm="rms-fp32")
)
_GLM4: Final = DENSE["glm"]._replace(
    norms=Norms(
        ("input_layernorm", "post_self_attn_layernorm"), ("post_attention_layernorm", "post_mlp_layernorm")
    ),
    flow=Flow(order="sandwich", rotary=0.5),
)
_NEMOTRON: Final = Family(
    _BIASED,
    dense=_UP_DOWN,
    norms=Norms(bias=True),
    flow=Flow(norm="layer", rotary=0.5, joins_both=True),
)
_APERTUS: Final = Family(
    _BIASED._replace(norms=HeadNorms()),
    dense=_UP_DOWN._replace(bias=False),
    norms=Norms(("attention_layernorm",), ("feedforward_layernorm",)),
    extras=with_xielu,
)
_BITNET: Final = Family(_BIASED, dense=FeedForward(), extras=with_sub_norms, flow=Flow(norms_last=True))
_NANOCHAT: Final = Family(
    _BIASED._replace(norms=HeadNorms(weighed=False)),
    dense=FeedForward(("mlp.fc1",), "mlp.fc2", gated=False),
    norms=Norms(weighed=False),
    flow=Flow(norm="rms-bare", after_rotary="norms"),
)
_HYPERCLOVAX: Final = LLAMA._replace(
    norms=peri_norms, flow=Flow(order="sandwich"), pre_unless="use_post_norm"
)
_HUNYUAN: Final = Family(
    _BIASED._replace(norms=HeadNorms(names=("query_layernorm", "key_layernorm"))),
    dense=FeedForward(),
    flow=Flow(after_rotary="norms"),
)

_GRANITE_SWA: Final = LLAMA._replace(
    attention=_BIASED._replace(sinks="sinks"),
    kinds=every(4, first=True),
    rotates=thetas_rotate,
    flow=Flow(scores="sunk"),
)

_DIFFLLAMA: Final = Family(_BIASED, dense=FeedForward(), extras=with_lambdas, flow=Flow(differential=True))

LATER: Final[dict[str, Family]] = {
    "apertus": _APERTUS,
    "bitnet": _BITNET,
    "diffllama": _DIFFLLAMA,
    "glm4": _GLM4,
    "granite_swa": _GRANITE_SWA,
    "hunyuan_v1_dense": _HUNYUAN,
    "hyperclovax": _HYPERCLOVAX,
    "jais2": _NEMOTRON._replace(flow=Flow(norm="layer")),
    "ministral": MISTRAL,
    "ministral3": MISTRAL._replace(flow=Flow(after_rotary="scales")),
    "nanochat": _NANOCHAT,
    "nemotron": _NEMOTRON,
    "vaultgemma": _VAULTGEMMA,
    "youtu": Family(Latent(), dense=FeedForward()),
}
