"""Opens whatever a user names as a model."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ullage.errors import FormatError, UnknownNameError
from ullage.facts.architecture import Model
from ullage.facts.bundled import TINY, local_path
from ullage.facts.catalog import UNKNOWN_MODEL, find_model, model_names
from ullage.facts.config import parse_config, read_config


def open_model(text: str, base: Path | None = None) -> Model:
    """The model `text` means: the bundled `ullage:tiny`, a folder, config.json or .gguf file (relative to
    `base`), a catalog name, or a hub id whose files are already in the local cache. No connection is made.

    Raises UnknownNameError with the nearest catalog names, or FormatError for a broken file.
    """
    path = local_path(text, base)
    if path.exists():
        return replace(_open_path(path), name=text) if text == TINY else _open_path(path)
    if text.endswith((".json", ".gguf", ".safetensors")) or text.startswith((".", "/", "~")):
        raise FormatError(f"{text}: no such file or folder")
    try:
        return find_model(text)
    except UnknownNameError:
        snapshot = _cached_snapshot(text)
        if snapshot is None:
            raise UnknownNameError("model", text, (TINY, *model_names()), UNKNOWN_MODEL) from None
        return replace(_open_path(snapshot), name=text)


def folder_of(name: str, base: Path | None = None) -> Path | None:
    """The folder that holds a model's files here, None where it is known by its numbers alone."""
    path = local_path(name, base)
    if path.is_dir():
        return path
    return None if path.exists() else _cached_snapshot(name)


def _open_path(path: Path) -> Model:
    if path.is_file():
        if path.suffix == ".gguf":
            from ullage.facts.gguf import read_gguf

            return read_gguf(path)
        if path.suffix == ".json":
            if path.name == "model_index.json":
                return _open_path(path.parent)
            return read_config(parse_config(path), path.parent.name or path.stem, str(path))
        raise FormatError(f"{path}: neither a config.json nor a .gguf file")
    if (path / "model_index.json").is_file():
        from ullage.facts.diffusers_index import read_pipeline

        return read_pipeline(path)
    config = path / "config.json"
    if not config.is_file():
        raise FormatError(f"{path}: a folder without config.json or model_index.json")
    architecture = read_config(parse_config(config), path.resolve().name, str(config))
    if any(path.glob("*.safetensors")) or (path / "model.safetensors.index.json").is_file():
        from ullage.facts.safetensors_header import read_checkpoint

        return replace(architecture, checkpoint=read_checkpoint(path))
    return architecture


def _cached_snapshot(name: str) -> Path | None:
    """The newest snapshot of a hub id in the Hugging Face cache that has a config."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    cache = Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub"))
    if not name.replace("/", "").replace("-", "").replace(".", "").replace("_", "").isalnum():
        return None
    snapshots = (cache / f"models--{name.replace('/', '--')}" / "snapshots").glob("*")
    usable = [
        folder
        for folder in snapshots
        if (folder / "config.json").is_file() or (folder / "model_index.json").is_file()
    ]
    return max(usable, key=lambda folder: folder.stat().st_mtime, default=None)
