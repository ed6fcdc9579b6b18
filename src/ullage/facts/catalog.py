"""The models that come with Ullage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

from ullage.errors import UnknownNameError
from ullage.facts.architecture import Architecture, Model, Pipeline
from ullage.facts.config import read_config
from ullage.facts.data_file import read_data

UNKNOWN_MODEL: Final = (
    "Give a folder with config.json, a config.json, a .gguf file, a name that `ullage models` lists, or a "
    "hub's OWNER/NAME"
)
_NESTED: Final = ("moe", "mla", "ssm_hybrid", "extra", "sparse_index")


@cache
def _rows() -> Mapping[str, dict[str, Any]]:
    """Rows of data/models.json and data/more_models.json by lower-case id."""
    rows: dict[str, dict[str, Any]] = {}
    for name in ("models.json", "more_models.json"):
        rows |= {row["id"].casefold(): row for row in read_data(name)["models"]}
    return rows


def model_names() -> tuple[str, ...]:
    """Ids of every model in the catalog."""
    return tuple(row["id"] for row in _rows().values())


def find_model(name: str) -> Model:
    """The model called `name`: an id, or the part behind its slash where that is unambiguous.

    Raises UnknownNameError with the nearest names.
    """
    rows = _rows()
    key = name.casefold()
    if key not in rows:
        matches = [known for known in rows if known.rsplit("/", 1)[-1] == key]
        if len(matches) != 1:
            raise UnknownNameError("model", name, model_names(), UNKNOWN_MODEL)
        key = matches[0]
    return _read(key)


def row_config(row: Mapping[str, Any]) -> dict[str, object]:
    """A catalog row as the config.json fields it was taken from.

    Nested blocks are flattened; flags such as biases keep their transformers names.
    """
    config: dict[str, object] = {
        key: value
        for key, value in row.items()
        if key not in (*_NESTED, "vision", "per_layer", "quantization") and value is not None
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
    row = _rows()[key]
    source = f"catalog: {row['source']}" if "source" in row else "catalog"
    if "components" in row:
        from ullage.facts.pipeline import component_from_config

        components = tuple(
            component_from_config(name, part["cls"], part) for name, part in row["components"].items()
        )
        dtype = row.get("dtype") or row.get("dtype_unsourced") or "bfloat16"
        return Pipeline(row["id"], row["model_type"], components, dtype, source)
    architecture: Architecture = read_config(row_config(row), row["id"], source)
    return replace(architecture, published_parameters=row.get("published_parameters"))
