"""The config.json that a model is traced by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ullage.errors import UnsupportedError
from ullage.facts.bundled import local_path
from ullage.facts.catalog import config_of
from ullage.facts.config import parse_config
from ullage.facts.model import folder_of


def config_values(name: str, base: Path | None) -> Mapping[str, object]:
    """What the config.json of a model says. Raises UnsupportedError for a GGUF file, which has none."""
    path = local_path(name, base)
    if path.suffix == ".gguf" or name.endswith(".gguf"):
        raise UnsupportedError(f"{name}: is traced by a config.json, which a GGUF file has not")
    if path.is_file():
        return parse_config(path)
    folder = folder_of(name, base)
    return config_of(name) if folder is None else parse_config(folder / "config.json")
