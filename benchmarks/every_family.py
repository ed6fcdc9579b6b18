"""A config of every family there is a reader for: the defaults of its class, and what they leave open."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hypothesis import settings

from ullage.facts.architecture import Architecture
from ullage.facts.config import read_config
from ullage.facts.families.rows import known_types

OPEN: dict[str, dict[str, object]] = {
    "bloom": {"hidden_size": 1024, "n_layer": 24, "n_head": 16},
    "deepseek_v2": {"num_experts_per_tok": 6},
    "dots1": {"n_routed_experts": 128, "n_shared_experts": 2, "num_experts_per_tok": 6},
    "glm4v_moe": {"text_config": {"model_type": "glm4v_moe_text", "head_dim": 128}},
    "glm4v_moe_text": {"head_dim": 128},
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128, "num_experts": 64, "moe_topk": 8},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 16},
    "minicpm3": {"v_head_dim": 64},
    "ministral": {"head_dim": 128},
    "mistral3": {"text_config": {"model_type": "mistral"}},
    "nemotron": {"num_key_value_heads": 8},
    "nemotron-nas": {
        "hidden_size": 64,
        "num_attention_heads": 4,
        "vocab_size": 512,
        "num_hidden_layers": 2,
        "max_position_embeddings": 4096,
        "block_configs": [
            {"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 2.5}},
            {"attention": {"no_op": True}, "ffn": {"no_op": True}},
        ],
    },
    "olmo_hybrid": {
        "linear_num_key_heads": 30,
        "linear_num_value_heads": 30,
        "linear_key_head_dim": 96,
        "linear_value_head_dim": 192,
    },
}
"""Fields by family that transformers' class has no default for, or none that can be."""
NAMES = known_types()


def config(family: str) -> dict[str, object]:
    """As short a config.json as `family` allows."""
    return {"model_type": family, "dtype": "bfloat16", **OPEN.get(family, {})}


@cache
def architecture(family: str) -> Architecture:
    return read_config(config(family), family, "test")


def covering(names: Sequence[str]) -> list[str]:
    """So few of `names` that in their layers everything occurs that formulas tell apart: each value of each
    field of a mixer, a feed-forward part and a flow, of sizes whether there are any. All of them under
    hypothesis's profile `attack` (benchmarks/laws.py)."""
    if settings.get_current_profile_name() == "attack":
        return [*names]
    told = {name: _told_apart(architecture(name)) for name in names}
    lacking, found = frozenset[object]().union(*told.values()), []
    while lacking:
        found.append(max(names, key=lambda name: len(told[name] & lacking)))
        lacking -= told[found[-1]]
    return found


def _told_apart(model: Architecture) -> frozenset[object]:
    parts = {part for layer in model.layers for part in (layer.mixer, layer.feed_forward, layer.flow)}
    return frozenset(
        (type(part), name, value if isinstance(value, bool | str) else bool(value))
        for part in parts
        if part is not None
        for name in type(part).__annotations__
        for value in [getattr(part, name)]
    )
