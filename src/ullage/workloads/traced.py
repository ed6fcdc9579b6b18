"""Where planning comes to a trace: the one place from which it reaches torch, where it is asked to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import MissingExtraError
from ullage.memory.traced import Asked, Traced

if TYPE_CHECKING:
    from ullage.facts.architecture import Architecture


def trace_model(asked: Asked, base: Path | None = None) -> Traced:
    """What a pass through a model takes, its path relative to `base`: known of old, or traced now.

    Raises UnsupportedError for what cannot be traced, MissingExtraError where torch is not installed.
    """
    from ullage.tracing.kept import known_trace

    try:
        return known_trace(asked, base)
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "run", f"tracing {asked.work.activity}") from error


def count_model(config: Mapping[str, object], name: str, source: str) -> Architecture:
    """The weights of a model of `config`, as its own code builds them: known of old, or counted now.

    Raises UnsupportedError where transformers builds none, MissingExtraError where torch is not installed.
    """
    from ullage.tracing.kept import known_count

    try:
        return known_count(config, name, source)
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "run", "counting its weights by its code") from error
