"""Which attention each layer of a decoder has: full, sliding, chunked or linear."""

from __future__ import annotations

from typing import Final, Literal, cast

from ullage.facts.families.fields import Fields

LayerKind = Literal["full", "sliding", "chunked", "linear", "none"]

_KINDS: Final[dict[str, LayerKind]] = {
    "full_attention": "full",
    "attention": "full",
    "indexed_attention": "full",
    "sliding_attention": "sliding",
    "chunked_attention": "chunked",
    "linear_attention": "linear",
    "mamba": "linear",
    "no_attention": "none",
}
_PERIOD: Final = {"gemma2": 2, "gemma3_text": 6, "cohere2": 4, "gpt_oss": 2, "gemma4_text": 6}
"""Every n-th layer attends fully, the others over a sliding window; sources: each model's
configuration file in transformers 5.19."""


def layer_kinds(fields: Fields, model_type: str, depth: int) -> tuple[LayerKind, ...]:
    """One kind per layer: `layer_types` where the config lists them, else the family's rule."""
    listed = fields.names("layer_types")
    if listed is not None:
        unknown = sorted(set(listed) - set(_KINDS))
        if unknown:
            raise fields.wrong("layer_types", unknown[0], f"one of {', '.join(_KINDS)}")
        if len(listed) != depth:
            raise fields.wrong("layer_types", list(listed), f"{depth} names, one per layer")
        return tuple(_KINDS[name] for name in listed)
    if model_type in _PERIOD:
        period = fields.optional("sliding_window_pattern", "_sliding_window_pattern") or _PERIOD[model_type]
        kinds: list[LayerKind] = ["sliding" if (i + 1) % period else "full" for i in range(depth)]
        if model_type == "gemma4_text":
            kinds[-1] = "full"
        return tuple(kinds)
    if model_type.startswith("llama4"):
        period = fields.optional("no_rope_layer_interval") or 4
        rope = fields.numbers("no_rope_layers") or tuple(int((i + 1) % period != 0) for i in range(depth))
        if len(rope) != depth:
            raise fields.wrong("no_rope_layers", list(rope), f"{depth} numbers, one per layer")
        return tuple("chunked" if uses else "full" for uses in rope)
    if model_type.startswith(("qwen3_next", "qwen3_5")):
        period = fields.optional("full_attention_interval") or 4
        return tuple("linear" if (i + 1) % period else "full" for i in range(depth))
    window = fields.optional("sliding_window")
    used = fields.raw("use_sliding_window")
    if window is None or used is False:
        return cast("tuple[LayerKind, ...]", ("full",) * depth)
    first = fields.count("max_window_layers") if used is True else 0
    return tuple("sliding" if i >= first else "full" for i in range(depth))
