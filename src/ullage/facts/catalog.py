"""The models that come with Ullage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from ullage.errors import UnknownNameError
from ullage.facts.architecture import Architecture, Model
from ullage.facts.config import read_config
from ullage.facts.data_file import read_data
from ullage.facts.diffusion import Pipeline

UNKNOWN_MODEL: Final = (
    "Give a folder with config.json, a config.json, a .gguf file, a name that `ullage models` lists, or a "
    "hub's OWNER/NAME"
)
FILES: Final = ("models.json", "more_models.json")
"""Under facts/data, in the order they are asked: a model of the first does not wait for the second."""
_NESTED: Final = ("moe", "mla", "ssm_hybrid", "extra", "sparse_index")
_ITS_OWN: Final = (
    "parameters",
    "published_parameters",
    "published_source",
    "published_also_holds",
    "verified_by",
    "same_shape_as",
    "notes",
)
"""What a row says of its own model and not of others that have its shape."""


@cache
def _rows(file: str) -> Mapping[str, dict[str, Any]]:
    """Rows of a file by lower-case id."""
    return {row["id"].casefold(): row for row in read_data(file)["models"]}


def _row(key: str) -> dict[str, Any] | None:
    """The row of a lower-case id, with what it takes from the row whose shape it has."""
    row = next((_rows(file)[key] for file in FILES if key in _rows(file)), None)
    if row is None or "same_shape_as" not in row:
        return row
    shared = _row(row["same_shape_as"].casefold())
    assert shared is not None, row["id"]
    return {name: value for name, value in shared.items() if name not in _ITS_OWN} | row


def model_names() -> tuple[str, ...]:
    """Ids of every model in the catalog, in the order of their letters and numbers."""
    names = [row["id"] for file in FILES for row in _rows(file).values()]
    return tuple(sorted(names, key=_letters_and_numbers))


def _letters_and_numbers(name: str) -> list[tuple[bool, int, str]]:
    """So that 7b comes before 13b."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def find_model(name: str) -> Model:
    """The model called `name`: an id, or the part behind its slash where that is unambiguous.

    Raises UnknownNameError with the nearest names.
    """
    return _read(_key_of(name))


def config_of(name: str) -> dict[str, object]:
    """The config.json fields of the model called `name`. Raises UnknownNameError as `find_model` does."""
    row = _row(_key_of(name))
    assert row is not None, name
    return row_config(row)


def _key_of(name: str) -> str:
    """The lower-case id of the model called `name`."""
    key = name.casefold()
    if _row(key) is None:
        matches = [known for file in FILES for known in _rows(file) if known.rsplit("/", 1)[-1] == key]
        if len(matches) != 1:
            raise unknown_model(name, UNKNOWN_MODEL)
        key = matches[0]
    return key


def unknown_model(name: str, hint: str, *others: str) -> UnknownNameError:
    """The error for a name that nothing answers to: the nearest of the catalog and of `others`, the models
    that have its shape by its name, and `hint`."""
    said = " ".join(filter(None, (shape_by_name(name), hint)))
    return UnknownNameError("model", name, (*others, *model_names()), said)


def shape_by_name(name: str) -> str:
    """A sentence on the model of the catalog that has its shape by its name; empty where there is none."""
    from ullage.facts.model_name import alike, precision_by_name

    same = next(iter(alike(name, model_names())), None)
    if same is None:
        return ""
    stored = precision_by_name(name)
    how = f"precision: {stored}" if stored else "its precision"
    return f"By its name it has the shape of {same}: plan with that, in {how}."


def row_config(row: Mapping[str, Any]) -> dict[str, object]:
    """A catalog row as the config.json fields it was taken from.

    Nested blocks are flattened; flags such as biases keep their transformers names.
    """
    config: dict[str, object] = {
        key: value
        for key, value in row.items()
        if key not in (*_NESTED, *_ITS_OWN, "vision", "per_layer", "quantization") and value is not None
    }
    for block in _NESTED:
        config |= row.get(block) or {}
    config["attention_bias"] = row.get("attention_qkv_bias", False)
    config["use_qk_norm"] = row.get("qk_norm", False)
    config["attention_output_bias"] = row.get("attention_output_bias", False)
    if row["model_type"] == "falcon" and row["num_key_value_heads"] > 1:
        config["new_decoder_architecture"] = True
    if row["model_type"] == "granitemoehybrid" and "moe" not in row:
        config["num_local_experts"] = 0
        config["shared_intermediate_size"] = row["intermediate_size"]
    for key, values in (row.get("per_layer") or {}).items():
        config[f"{key}_per_layer"] = values
    if row["model_type"] == "gemma3":
        # The Gemma 3 report (arXiv 2503.19786) stretches the full layers' positions eightfold.
        config["rope_scaling"] = {"rope_type": "linear", "factor": 8.0}
    if row.get("vision"):
        # The SigLIP towers of Gemma 3 come without their pooling head, as their config.json says.
        config["vision_config"] = {"vision_use_head": False} | row["vision"]
    if row.get("quantization"):
        config["quantization_config"] = row["quantization"]
    config["dtype"] = row.get("dtype") or row.get("dtype_unsourced") or "bfloat16"
    return config


@cache
def _read(key: str) -> Model:
    row = _row(key)
    assert row is not None, key
    source = f"catalog: {row['source']}" if "source" in row else "catalog"
    if "same_shape_as" in row:
        source = f"{source}; the shape of {row['same_shape_as']}"
    if "components" in row:
        from ullage.facts.pipeline import component_from_config

        components = tuple(
            component_from_config(name, part["cls"], part) for name, part in row["components"].items()
        )
        dtype = row.get("dtype") or row.get("dtype_unsourced") or "bfloat16"
        return Pipeline(row["id"], row["model_type"], components, dtype, source)
    architecture: Architecture = read_config(row_config(row), row["id"], source)
    return replace(architecture, published_parameters=row.get("published_parameters"))
