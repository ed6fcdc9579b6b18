"""The rows: one a family, by `model_type`.

`dense`, `early` and `later` have those whose layers are attention and one dense part, `routed` and `mixtures`
those with experts or latent attention, `hybrid` those that recur or whose layers differ in more than their
kind, `encoder` those that read a text as a whole. `family_of` is the one way in. A row is held to
transformers by every law in tests/facts/test_families.py and tests/memory/test_families.py: shapes, cache and
live peak.
"""

from __future__ import annotations

from typing import Final

from ullage.facts.families.family import Family
from ullage.facts.families.rows.dense import DENSE
from ullage.facts.families.rows.early import EARLY
from ullage.facts.families.rows.encoder import ENCODER
from ullage.facts.families.rows.hybrid import HYBRID
from ullage.facts.families.rows.later import LATER
from ullage.facts.families.rows.mixtures import MIXTURES
from ullage.facts.families.rows.routed import ROUTED

_ROWS: Final = DENSE | EARLY | LATER | ROUTED | MIXTURES | HYBRID | ENCODER
WRAPPED: Final = {
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "glm4v_moe": "glm4v_moe_text",
    "llama4": "llama4_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
}
"""Models around a decoder of one family, by its type."""
WRAPPING_ANY: Final = frozenset({"llava_next", "mistral3"})
"""Models around a decoder whose config names its own type."""


def family_of(model_type: str) -> Family | None:
    """The row of a decoder, or of the decoder that a model of this type wraps; None where there is none."""
    return _ROWS.get(WRAPPED.get(model_type, model_type))


def text_type(model_type: str) -> str:
    """The type of the decoder in a model of this type, itself where it is one."""
    return WRAPPED.get(model_type, model_type)


def decoder_types() -> tuple[str, ...]:
    """Every `model_type` of decoders that has a row of its own."""
    return tuple(sorted(_ROWS.keys() - ENCODER.keys()))


def encoder_types() -> tuple[str, ...]:
    """Every `model_type` of encoders."""
    return tuple(sorted(ENCODER))


def known_types() -> tuple[str, ...]:
    """Every `model_type` that can be read: the decoders, what wraps them, and the encoders."""
    return tuple(sorted({*_ROWS, *WRAPPED, *WRAPPING_ANY}))
