"""Models as workloads name them: by their family's row, or counted by their own code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import UnsupportedError
from ullage.facts.model import open_model

if TYPE_CHECKING:
    from ullage.facts.architecture import Architecture, Model


def opened_model(name: str, base: Path | None = None) -> Model:
    """The model that `name` means, as `facts.model.open_model` gives it. One whose family no row describes is
    built by transformers without weights, and its parameters are counted.

    Raises what `open_model` raises; of such a family UnsupportedError with transformers' own reason, or with
    the extra to install.
    """
    return open_model(name, base, _count)


def _count(config: Mapping[str, object], name: str, source: str) -> Architecture:
    from ullage.workloads.traced import count_model

    try:
        return count_model(config, name, source)
    except ImportError as error:
        raise UnsupportedError('Its own code would say what it takes: pip install "ullage[run]"') from error
