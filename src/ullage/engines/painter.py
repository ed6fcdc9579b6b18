"""The protocol of an engine that makes pictures, and the values that go through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ullage.engines.engine import Failure


@dataclass(frozen=True, slots=True)
class Canvas:
    """How pictures are made: width and height in pixels, and denoising steps."""

    size: tuple[int, int]
    steps: int


@dataclass(frozen=True, slots=True)
class Painting:
    """A picture as a PNG file's bytes. `cut` is how many tokens of its prompt were too many to be read."""

    png: bytes
    canvas: Canvas
    seed: int
    cut: int = 0


class Painter(Protocol):
    """`paint` takes one batch, and gives one result for each prompt, in order."""

    def paint(self, prompts: Sequence[str], canvas: Canvas, seeds: Sequence[int]) -> list[Painting | Failure]:
        """A picture for each prompt, by the chance of its own seed. Raises UnsupportedError for a size that
        the engine cannot paint."""
