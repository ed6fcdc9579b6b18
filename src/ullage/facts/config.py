"""From a config.json to an `Architecture`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from ullage.errors import FormatError, UnsupportedError, nearest
from ullage.facts.architecture import Architecture, Gives
from ullage.facts.data_file import read_data
from ullage.facts.families.ends import embeddings, head, head_bias, positions, rotary_positions
from ullage.facts.families.fields import Fields
from ullage.facts.families.layers import layers_of
from ullage.facts.families.proven import said_of
from ullage.facts.families.rows import family_of, known_types, text_type
from ullage.facts.quantization.checkpoint import read_quantization
from ullage.facts.rope import own_scaling
from ullage.files import read_text

if TYPE_CHECKING:
    from ullage.facts.families.family import Family
    from ullage.facts.families.parts import Weights
    from ullage.facts.vision import Vision

LARGEST_FILE: Final = 8 * 2**20
"""Bytes of the largest config.json that is read."""
Count = Callable[[Mapping[str, object], str, str], Architecture]
"""Describes a config that no row describes, by a model's own code: its values, name and source."""
_STRUCTURAL: Final = re.compile(r"^(num|n)_|_size$|_dim$|layer|head|expert|rank|window|mamba|ssm|conv|block")
_FEATURES: Final = re.compile(
    r"^(?!use_|.*(_dtype|_act|_fn|_strategy|_coef|_chunk_size|_kernels|_types?|_multipliers?)$).*"
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


def read_config(
    config: Mapping[str, object], name: str, source: str, count: Count | None = None
) -> Architecture:
    """The architecture `config` describes: by its family's row, else by `count`.

    Nested `text_config` and `vision_config` are followed; omitted fields take the defaults of the
    transformers class. Raises UnsupportedError for a model type without a reader, FormatError for
    fields that are missing or make no sense.
    """
    try:
        return _by_row(config, name, source)
    except UnsupportedError as error:
        if count is None:
            raise
        try:
            return count(config, name, source)
        except UnsupportedError as other:
            raise UnsupportedError(f"{error}. {other}") from error


def _by_row(config: Mapping[str, object], name: str, source: str) -> Architecture:
    fields, family, outer, base = _text(config, name)
    given = fields.given
    layers = layers_of(fields, family)
    hidden = fields.width()
    vocabulary = fields.size("vocab_size")
    _refuse_unread(fields, name)
    tied = config.get("tie_word_embeddings")
    if tied is None:
        tied = fields.raw("tie_word_embeddings")
    tied = tied is not False and family.ends.ties
    before, final = embeddings(fields, family, hidden, vocabulary)
    gives, labels, on_top = _given(config, fields, family, hidden)
    final += on_top if family.tasks is not None or not tied else head_bias(fields, family, vocabulary)
    dtypes = (each.get(key) for each in (config, given) for key in ("dtype", "torch_dtype"))
    stored = next(filter(None, dtypes), "float32")
    return Architecture(
        name=name,
        model_type=outer,
        hidden_size=hidden,
        vocab_size=vocabulary,
        max_positions=positions(fields, family),
        layers=layers,
        embeddings=before,
        final=final,
        head=() if tied or family.tasks is not None else head(fields, family, hidden, vocabulary),
        dtype=str(stored).removeprefix("torch."),
        source=source,
        vision=_vision(config, base, outer, hidden, name),
        quantization=read_quantization(config.get("quantization_config"), name),
        beside=family.ends.beside(fields) if family.ends.beside else 0,
        rotary_positions=rotary_positions(fields, family),
        rope=own_scaling(fields, outer),
        gives=gives,
        labels=labels,
        flow_open=family.flow_open,
    )


def _text(config: Mapping[str, object], name: str) -> tuple[Fields, Family, str, Mapping[str, object]]:
    """The fields of the language model, its family, and the whole model's type and defaults."""
    outer = config.get("model_type")
    defaults = config_defaults()
    if not isinstance(outer, str) or outer not in known_types():
        raise _unsupported(config, outer, name)
    base = defaults.get(outer, {})
    nested = _object(config, "text_config", name)
    given = nested if nested is not None else config
    default_text = cast("Mapping[str, object]", base.get("text_config") or base)
    inner = (nested or {}).get("model_type") or default_text.get("model_type") or outer
    family = family_of(inner) if isinstance(inner, str) else None
    if family is None:
        raise _unsupported(given, inner, name)
    if nested is not None:
        default_text = defaults.get(text_type(str(inner)), default_text)
    return Fields(given, default_text, name), family, outer, base


def _given(
    config: Mapping[str, object], fields: Fields, family: Family, hidden: int
) -> tuple[Gives, tuple[str, ...], Weights]:
    """What a model of this family gives, the labels it knows, and the weights of the task on its layers."""
    if family.tasks is None:
        return "tokens", (), ()
    from ullage.facts.families.tasks import CLASSIFIES, labels_of, task_of

    task, on_top = task_of(config, fields, family.tasks)
    if task == CLASSIFIES:
        return "labels", labels_of(fields), on_top(fields, hidden)
    return "states", (), on_top(fields, hidden)


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
        "this family in ullage/facts/families/rows, or a model of a family that `ullage models` lists, would "
        "make it known"
    )
