"""What lies beside a config.json on how pictures are prepared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ullage.facts.config import parse_config

PICTURE_FILES: Final = ("preprocessor_config.json", "processor_config.json")
"""In the order in which transformers looks for an image processor's settings."""


def with_processor(config: Path) -> Mapping[str, object]:
    """A config.json; of a model that takes pictures with its image processor's settings, under
    `preprocessor_config`. Raises FormatError for what is no JSON object."""
    found = parse_config(config)
    if "vision_config" not in found:
        return found
    for name in PICTURE_FILES:
        path = config.with_name(name)
        if path.is_file():
            settings = parse_config(path)
            whole = settings if name == PICTURE_FILES[0] else {}
            return {**found, "preprocessor_config": settings.get("image_processor", whole)}
    return found
