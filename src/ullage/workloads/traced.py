"""Where planning comes to a trace: the one place from which it reaches torch, where it is asked to."""

from __future__ import annotations

from pathlib import Path

from ullage.errors import MissingExtraError
from ullage.memory.traced import Asked, Traced


def trace_model(asked: Asked, base: Path | None = None) -> Traced:
    """What a pass through a model takes, its path relative to `base`: known of old, or traced now.

    Raises UnsupportedError for what cannot be traced, MissingExtraError where torch is not installed.
    """
    from ullage.tracing.kept import known_trace

    try:
        return known_trace(asked, base)
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "run", "tracing what a backward pass takes") from error
