"""Where a model's files are on this machine: given, bundled, or in the hub's local cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ullage.errors import FormatError, InputError
from ullage.facts.adapter import CONFIG, base_of
from ullage.facts.adapter import is_adapter as holds_adapter
from ullage.facts.bundled import local_path
from ullage.facts.config import parse_config
from ullage.facts.hub_name import HubName, hub_name
from ullage.facts.stored_model import fetch_model
from ullage.files import check_ordinary
from ullage.urls import is_url

READ: Final = (".json", ".jinja", ".model", ".txt", ".safetensors", ".gguf", ".tiktoken")
"""Endings of what is read of a model."""
INDEX: Final = "model_index.json"
"""What names a diffusion pipeline's networks, which lie in folders of their own beside it."""
PICKLED: Final = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth")


def source_of(name: str, base: Path | None, download: bool) -> Path:
    """A folder or GGUF file, bundled, from a path, or from the hub's local cache."""
    if is_url(name):
        fetch_model(name, download)
    path = local_path(name, base)
    if path.is_dir() or path.suffix == ".gguf":
        _refuse_pickles(path, name)
        _refuse_endless(path)
        return path
    if path.exists():
        raise InputError(f"{name}: is a single file; to run it, name the folder with its weights")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    offline = bool(os.environ.get("HF_HUB_OFFLINE"))
    named = hub_name(name) or HubName(name, None, None)
    patterns = [named.file] if named.file else ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    try:
        found = snapshot_download(
            named.repository,
            revision=named.revision,
            allow_patterns=patterns,
            local_files_only=not download,
        )
    except LocalEntryNotFoundError as error:
        hint = "HF_HUB_OFFLINE is set" if offline and download else "add --download to fetch it from the hub"
        raise InputError(f"{name}: no such folder, and not in the local hub cache; {hint}") from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise InputError(f"{name}: cannot be fetched from the hub: {error}") from error
    folder = Path(found)
    if named.file:
        return folder / named.file
    _refuse_pickles(folder, name)
    return folder


def _refuse_pickles(path: Path, name: str) -> None:
    if path.is_file():
        return
    if any(path.glob("*.safetensors")) or not any((path / pickled).exists() for pickled in PICKLED):
        return
    raise FormatError(
        f"{name}: its weights are pickles, which can run code; convert them to safetensors "
        "(model.save_pretrained writes those)"
    )


def _refuse_endless(path: Path) -> None:
    """transformers reads what bears a known name to its end: a device or a pipe has none."""
    for each in [path] if path.is_file() else path.iterdir():
        if each.suffix in READ:
            check_ordinary(each)


def is_pipeline(source: Path) -> bool:
    """Whether a model's files are those of a diffusion pipeline."""
    return (source / INDEX).is_file()


def is_adapter(source: Path) -> bool:
    """Whether a model's files are those of an adapter alone."""
    return source.is_dir() and holds_adapter(each.name for each in source.iterdir())


def base_named(adapter: Path) -> str:
    """The model that an adapter's own config names as its base."""
    return base_of(parse_config(adapter / CONFIG), adapter.name)
