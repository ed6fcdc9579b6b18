"""What comes with the package under a name of its own: the model `ullage:tiny`, found without a download."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ullage.files import placed

TINY: Final = "ullage:tiny"
DEVELOPMENT: Final = "ullage:development"
"""A script of engine `scripted` in place of any model: it says that it is none, and what it was given."""


def tiny_path() -> Path:
    """The folder of `ullage:tiny`: config, safetensors, tokenizer and card, as transformers reads them.

    Its card, README.md there, says what it can do and how that was measured.
    """
    return Path(__file__).parent / "data" / "tiny"


def local_path(name: str, base: Path | None = None) -> Path:
    """Where a model called `name` lies if it is here: the bundled one, or a path relative to `base`."""
    return tiny_path() if name == TINY else placed(name, base or Path())
