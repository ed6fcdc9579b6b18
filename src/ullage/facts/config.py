"""From a config.json to an `Architecture`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from ullage.errors import FormatError, UnsupportedError, nearest
from ullage.facts.architecture import Architecture, Layer, Weight
from ullage.facts.data_file import read_data
from ullage.facts.families.decoder import STYLES, decoder_layers
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import Weights, linear, norm, single
from ullage.facts.families.proven import said_of
from ullage.facts.quantization.checkpoint import read_quantization
from ullage.files import read_text

if TYPE_CHECKING:
    from ullage.facts.vision import Vision

LARGEST_FILE: Final = 8 * 2**20
"""Bytes of the largest config.json that is read."""
RECURRENT: Final = frozenset(
    [
        "mamba",
        "falcon_mamba",
        "jamba",
        "nemotron_h",
        "granitemoehybrid",
        "qwen3_next",
        "qwen3_5_text",
        "qwen3_5_moe_text",
    ]
)
LATENT: Final = frozenset({"deepseek_v2", "deepseek_v3", "deepseek_v32", "minicpm3"})
_STRUCTURAL: Final = re.compile(r"^(num|n)_|_size$|_dim$|layer|head|expert|rank|window|mamba|ssm|conv|block")
_FEATURES: Final = re.compile(
    r"^(?!use_|.*(_dtype|_act|_coef|_chunk_size|_kernels|_types?)$).*"
    r"(expert|_lora_rank|kv_shared|mamba|ssm_|index_head|block_configs)"
)
"""Fields that give a model another structure. Set where a reader does not ask for them, they would
be ignored; such a config is refused instead."""


@cache
def config_defaults() -> Mapping[str, Mapping[str, object]]:
    """Defaults of transformers' configuration classes, by model_type."""
    return cast("Mapping[str, Mapping[str, object]]", read_data("config_defaults.json")["defaults"])


def parse_config(path: Path) -> Mapping[str, object]:
    """The object in a config.json. Raises FormatError for anything else, bounded in size."""
    try:
        config = json.loads(read_text(path, LARGEST_FILE))
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise FormatError(f"{path}: holds {type(config).__name__}, not an object")
    return config


def read_config(config: Mapping[str, object], name: str, source: str) -> Architecture:
    """The architecture `config` describes.

    Nested `text_config` and `vision_config` are followed; omitted fields take the defaults of the
    transformers class. Raises UnsupportedError for a model type without a reader, FormatError for
    fields that are missing or make no sense.
    """
    outer = config.get("model_type")
    defaults = config_defaults()
    if not isinstance(outer, str) or not _known(outer):
        raise _unsupported(config, outer, name)
    base = defaults.get(outer, {})
    nested = _object(config, "text_config", name)
    given = nested if nested is not None else config
    default_text = cast("Mapping[str, object]", base.get("text_config") or base)
    text_type = (nested or {}).get("model_type") or default_text.get("model_type") or outer
    if not isinstance(text_type, str) or not _known(text_type):
        raise _unsupported(given, text_type, name)
    text_type = _TEXT_TYPES.get(text_type, text_type)
    if nested is not None and text_type in defaults:
        default_text = defaults[text_type]
    fields = Fields(given, default_text, name)
    layers = _layers(fields, text_type)
    hidden = fields.size("hidden_size", "n_embd", "d_model")
    vocabulary = fields.size("vocab_size")
    _refuse_unread(fields, name)
    tied = config.get("tie_word_embeddings")
    if tied is None:
        tied = fields.raw("tie_word_embeddings")
    embeddings, final = _embeddings(fields, text_type, hidden, vocabulary)
    stored = config.get("dtype") or config.get("torch_dtype") or given.get("dtype")
    stored = stored or given.get("torch_dtype") or "float32"
    return Architecture(
        name=name,
        model_type=outer,
        hidden_size=hidden,
        vocab_size=vocabulary,
        max_positions=fields.optional("max_position_embeddings", "n_positions"),
        layers=layers,
        embeddings=embeddings,
        final=final,
        head=() if tied is not False else _head(fields, text_type, hidden, vocabulary),
        dtype=str(stored).removeprefix("torch."),
        source=source,
        vision=_vision(config, base, outer, hidden, name),
        quantization=read_quantization(config.get("quantization_config"), name),
        rotary_positions=_rotary_positions(fields, text_type),
    )


def _vision(
    config: Mapping[str, object], base: Mapping[str, object], outer: str, hidden: int, name: str
) -> Vision | None:
    """The image tower that `config` describes, if any; `base` are the defaults of the whole model's class."""
    tower = _object(config, "vision_config", name)
    if tower is None:
        return None
    from ullage.facts.families.vision import read_vision

    defaults = config_defaults()
    usual = cast("Mapping[str, object]", base.get("vision_config") or {})
    kind = tower.get("model_type", usual.get("model_type"))
    if isinstance(kind, str) and kind in defaults and config.get("text_config") is not None:
        usual = {**usual, **defaults[kind]}
    return read_vision(Fields(config, base, name), Fields(tower, usual, name), hidden, outer)


def _rotary_positions(fields: Fields, model_type: str) -> int:
    """Rows of the rotary tables: linear scaling stretches the one of full attention, and families with
    another base frequency in sliding layers have a second (vLLM, layers/rotary_embedding)."""
    positions = fields.count("max_position_embeddings", "n_positions")
    scaling = fields.raw("rope_scaling", "rope_parameters")
    local = model_type in ("gemma3_text", "gemma4_text")
    if isinstance(scaling, dict) and isinstance(scaling.get("full_attention"), dict):
        scaling = scaling["full_attention"]
    factor = 1.0
    if isinstance(scaling, dict) and scaling.get("rope_type", scaling.get("type")) == "linear":
        given = scaling.get("factor")
        factor = given if isinstance(given, int | float) and 1 <= given <= 1024 else 1.0
    return int(positions * factor) + (positions if local else 0)


_TEXT_TYPES: Final = {
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "glm4v_moe": "glm4v_moe_text",
    "llama4": "llama4_text",
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
}
_OUTER: Final = frozenset({"llava_next", "mistral3", *_TEXT_TYPES})
_VARIED: Final = frozenset({"gemma4_text", "nemotron-nas"})


def known_types() -> tuple[str, ...]:
    """Every `model_type` there is a reader for."""
    return tuple(sorted({*STYLES, *LATENT, *RECURRENT, *_VARIED, *_OUTER}))


def _known(model_type: str) -> bool:
    return model_type in known_types()


def _layers(fields: Fields, model_type: str) -> tuple[Layer, ...]:
    if model_type in LATENT:
        from ullage.facts.families.latent import latent_layers

        return latent_layers(fields, model_type)
    if model_type in RECURRENT:
        from ullage.facts.families.recurrent import recurrent_layers

        return recurrent_layers(fields, model_type)
    if model_type in _VARIED:
        from ullage.facts.families.varied import gemma4_layers, nas_layers

        return gemma4_layers(fields) if model_type == "gemma4_text" else nas_layers(fields)
    return decoder_layers(fields, model_type)


def _embeddings(fields: Fields, model_type: str, hidden: int, vocabulary: int) -> tuple[Weights, Weights]:
    """Token (and learned position) embeddings, and the final norm with what else follows layers."""
    width = fields.optional("word_embed_proj_dim") or hidden
    tokens: Weights = single("embed_tokens.weight", (vocabulary, width), "embedding")
    biased = model_type in STYLES and STYLES[model_type].norm_bias
    final: Weights = norm("norm", hidden, biased)
    if model_type == "gpt2":
        positions = fields.size("n_positions", "max_position_embeddings")
        tokens += single("wpe.weight", (positions, hidden), "embedding")
    elif model_type == "opt":
        positions = fields.size("max_position_embeddings") + 2
        tokens += single("embed_positions.weight", (positions, hidden), "embedding")
        if fields.raw("do_layer_norm_before") is False:
            final = ()
        if width != hidden:
            tokens += linear("project_in", hidden, width)
            final += linear("project_out", width, hidden)
    elif model_type == "gemma4_text":
        per_layer = fields.count("hidden_size_per_layer_input")
        if per_layer:
            wide = per_layer * fields.depth()
            rows = fields.size("vocab_size_per_layer_input", "vocab_size")
            tokens += single("embed_tokens_per_layer.weight", (rows, wide), "embedding")
            tokens += linear("per_layer_model_projection", wide, hidden)
            tokens += norm("per_layer_projection_norm", per_layer)
    return tokens, final


def _head(fields: Fields, model_type: str, hidden: int, vocabulary: int) -> Weights:
    width = fields.optional("word_embed_proj_dim") or hidden
    head: tuple[Weight, ...] = single("lm_head.weight", (vocabulary, width), "head")
    return head + single("lm_head.bias", (vocabulary,), "bias") if model_type == "phi" else head


def _object(config: Mapping[str, object], key: str, name: str) -> Mapping[str, object] | None:
    value = config.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise FormatError(f"{name}: {key} is {type(value).__name__}, not an object")


def _refuse_unread(fields: Fields, name: str) -> None:
    """Refuses a config that turns on a structure nobody here asked about."""
    unread = sorted(
        key
        for key, value in fields.given.items()
        if value and key not in fields.asked and not fields.has_default(key) and _FEATURES.search(key)
    )
    if unread:
        raise UnsupportedError(
            f"{name}: these fields are not interpreted for model_type "
            f"{fields.raw('model_type')!r}: {', '.join(unread[:8])}; planning without them would be a guess"
        )


def _unsupported(config: Mapping[str, object], model_type: object, name: str) -> UnsupportedError:
    fields = sorted(key for key in config if _STRUCTURAL.search(key))
    listed = ", ".join(fields[:12]) + (", ..." if len(fields) > 12 else "")
    close = nearest(str(model_type), known_types())
    hint = f" Nearest known: {', '.join(close)}." if close else ""
    return UnsupportedError(
        f"{name}: no reader for model_type {model_type!r}; fields not interpreted: "
        f"{listed or 'none found'}.{hint}{said_of(str(model_type))} A reader for "
        "this family in ullage/facts/families, or a model of a family that `ullage models` lists, would make "
        "it known"
    )
