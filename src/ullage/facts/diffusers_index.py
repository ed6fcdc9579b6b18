"""Reads a diffusers folder: model_index.json and the config of each network it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ullage.errors import FormatError
from ullage.facts.checkpoint import Checkpoint, StoredTensor
from ullage.facts.config import parse_config
from ullage.facts.diffusion import Component, Pipeline
from ullage.facts.pipeline import component_from_config
from ullage.facts.safetensors_header import read_checkpoint

_NOT_NETWORKS: Final = (
    "Scheduler",
    "Tokenizer",
    "TokenizerFast",
    "TokenizersBackend",
    "SentencePieceBackend",
    "ImageProcessor",
    "Processor",
)
"""What the names of classes without weights end with; a backend is what transformers 5 calls a tokenizer."""

_NAMES: Final = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Dtypes of safetensors by the names of torch."""


def read_pipeline(folder: Path) -> Pipeline:
    """The networks that model_index.json lists, in its order, the VAE last.

    Raises FormatError for a folder that lacks what the index names, UnsupportedError for a network
    class without a reader.
    """
    folder = Path(folder)
    index = parse_config(folder / "model_index.json")
    components: list[Component] = []
    tensors: list[StoredTensor] = []
    for name, entry in index.items():
        if name.startswith("_") or not isinstance(entry, list) or len(entry) != 2:
            continue
        class_name = entry[1]
        if not isinstance(class_name, str) or class_name.endswith(_NOT_NETWORKS):
            continue
        place = folder / name
        if name != Path(name).name or not (place / "config.json").is_file():
            raise FormatError(f"{folder}: model_index.json names {name!r}, which has no config.json")
        config = parse_config(place / "config.json")
        components.append(component_from_config(name, class_name, config))
        if any(place.glob("*.safetensors")):
            tensors += read_checkpoint(place).tensors
    if not components:
        raise FormatError(f"{folder}: model_index.json names no network")
    components.sort(key=lambda component: component.kind == "vae")
    checkpoint = Checkpoint("safetensors", str(folder), tuple(tensors)) if tensors else None
    kind = str(index.get("_class_name", "diffusers"))
    return Pipeline(folder.name, kind, tuple(components), _dtype(tensors), str(folder), checkpoint)


def _dtype(tensors: Sequence[StoredTensor]) -> str:
    """What most bytes are stored in; bfloat16, as pipelines are published, where no weights are there."""
    sizes: dict[str, int] = {}
    for tensor in tensors:
        name = _NAMES.get(tensor.dtype)
        if name is not None:
            sizes[name] = sizes.get(name, 0) + tensor.bytes
    return max(sizes, key=sizes.__getitem__, default="bfloat16")
