"""Products of one sequence with the weights of probes, as they are made: while it is still being written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ullage.capture.coverage import Coverage
from ullage.capture.hooks import listening
from ullage.capture.listener import batched
from ullage.capture.projection import Products, products_in
from ullage.capture.sites import Point

if TYPE_CHECKING:
    from torch import Tensor


class Heard:
    """Reads projected `points` in every pass over one sequence, of its positions from `begin` on.

    Invariant: `taken` gives each position's row once, in order, after the pass that has read it.
    """

    needs_all = False
    to_the_end = True
    side_by_side = False

    def __init__(self, points: Sequence[Point], begin: int) -> None:
        self._points, self._begin = points, begin
        self._new: dict[str, list[Tensor]] = {point.name: [] for point in points}
        self._held: list[Tensor] = []

    def during(self, coverage: Coverage) -> AbstractContextManager[None]:
        """Listens to the one pass that runs inside."""

        def sink(point: Point, tensor: Tensor) -> None:
            for part in coverage.parts:
                first = max(self._begin - part.begin, 0)
                if first < part.end - part.begin:
                    column = part.column + first
                    rows = batched(tensor, coverage.rows, point)[part.row]
                    self._new[point.name].append(rows[column : part.column + part.end - part.begin])

        return listening(self._points, sink, stop=False)

    def ended(self, sequences: Sequence[tuple[int, ...]], prompt_tokens: Sequence[int]) -> None:
        """Nothing is left to be told."""

    def taken(self) -> Products:
        """By site what has been read since the last call, (tokens, columns) on the host; nothing where that
        is no token."""
        import torch

        if not all(self._new.values()):
            return {}
        found = {name: torch.cat(rows).cpu() for name, rows in self._new.items()}
        self._new = {name: [] for name in self._new}
        self._held += found.values()
        return products_in(found)

    def held(self) -> Iterator[Tensor]:
        """All that was given out, and what still waits for it."""
        yield from self._held
        for rows in self._new.values():
            yield from rows
