"""Gathers the states of one batch while somebody else runs the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ullage.capture.choosing import Choosing
from ullage.capture.coverage import Coverage
from ullage.capture.hooks import listening
from ullage.capture.logits import logits_of
from ullage.capture.reduction import PATTERN, Reducer, reducer_of
from ullage.capture.room import Room
from ullage.capture.sites import Point
from ullage.capture.taps import Tap
from ullage.capture.transfer import Transfer, stay
from ullage.memory.captures.sites import HEAD_SITES, LOGITS
from ullage.runtime.layout import Layout
from ullage.spec.positions import Positions, Range

if TYPE_CHECKING:
    from torch import Tensor

MANY: Final = 16
"""Points from which what a pass keeps has a room of its own."""
States = dict[str, "Tensor"]
"""One sequence's tensors by site name, in the shapes `capture.reduction` states."""


@dataclass(frozen=True, slots=True)
class ReadSequence:
    """What was read of one sequence: every token id, how many of them were the prompt, its states.

    A generated sequence has no state for its last token, which was chosen and never read, unless somebody
    listens to the end. `positions` are the
    ranges [begin, end) of tokens that a site's rows are of, one after the other, or what their mean is of.
    """

    tokens: tuple[int, ...]
    prompt_tokens: int
    states: States
    positions: Mapping[str, Sequence[Range]] = field(default_factory=dict)


class Listener:
    """Reads `points` in every pass it is told of, whole prompts, chunks or single tokens.

    Invariant: what it holds of a sequence are the states of the positions read so far, in their order.
    """

    def __init__(
        self,
        points: Sequence[Point],
        layout: Layout,
        choosing: Choosing,
        *,
        stop: bool = False,
        with_gradients: bool = False,
        transfer: Transfer | None = None,
        one_pass: bool = False,
        to_the_end: bool = False,
    ) -> None:
        """`choosing` says what is kept of each sequence; `stop` ends a pass after its last point, and after
        `stop_at` where that is set; `one_pass` says that there is no second one. `transfer` is how states go
        to the host; `to_the_end` asks for the state of the last token that is written too."""
        self.points, self._layout, self._choosing = points, layout, choosing
        self._stop, self._with_gradients = stop, with_gradients
        self.stop_at: Tap | None = None
        self.to_the_end = to_the_end
        self._transfer = Transfer() if transfer is None else transfer
        self._room = Room(len(points), choosing.sequences) if one_pass and len(points) >= MANY else None
        self._tokens: tuple[tuple[int, ...], ...] = ((),) * choosing.sequences
        self._prompt_tokens: tuple[int, ...] = (0,) * choosing.sequences
        self._read = [0] * choosing.sequences
        here = {point.name for point in points if point.capture.keep == "device"}
        here |= {point.name for point in points if point.site.hook == LOGITS}
        wanted = {each: choosing.awaited(each) for each in self._positions}
        self._reducers: dict[str, Reducer] = {
            point.name: reducer_of(
                point,
                wanted[point.capture.positions],
                stay if point.name in here else self._transfer.send,
                self._room,
            )
            for point in points
        }

    @property
    def _positions(self) -> set[Positions]:
        return {point.capture.positions for point in self.points}

    @property
    def needs_all(self) -> bool:
        """Whether it must see every position of a sequence, and not its end alone."""
        return any(point.capture.positions != "last" for point in self.points)

    @property
    def side_by_side(self) -> bool:
        """Whether it reads over which columns attention goes."""
        return any(point.site.hook == PATTERN for point in self.points)

    def during(self, coverage: Coverage) -> AbstractContextManager[None]:
        """Listens to the one pass that runs inside."""
        self._covers(coverage)

        def sink(point: Point, tensor: Tensor) -> None:
            self._reducers[point.name].feed(batched(tensor, coverage.rows, point), coverage)

        return listening(self.points, sink, stop=self._stop, at_least=self.stop_at)

    def take(self, point: Point, tensor: Tensor, coverage: Coverage) -> None:
        """Takes what one pass gave at a point, which nothing else listens to."""
        self._covers(coverage)
        self._reducers[point.name].feed(batched(tensor, coverage.rows, point), coverage)

    def _covers(self, coverage: Coverage) -> None:
        for part in coverage.parts:
            self._read[part.sequence] = max(self._read[part.sequence], part.end)

    def ended(self, sequences: Sequence[Sequence[int]], prompt_tokens: Sequence[int]) -> None:
        """Takes the ids of the sequences that have been read, and how many of them were the prompt."""
        self._tokens, self._prompt_tokens = tuple(map(tuple, sequences)), tuple(prompt_tokens)

    def finish(self) -> list[ReadSequence]:
        """What was read of every sequence; the listener is empty then."""
        self._transfer.wait()
        if self._room is not None:
            self._room.close()
        chosen = {each: self._choosing.chosen(each, self._tokens, self._read) for each in self._positions}
        finished: dict[str, list[Tensor]] = {}
        for point in self.points:
            finished[point.name] = self._reducers[point.name].finish(chosen[point.capture.positions])
            if point.site.hook == LOGITS:
                finished[point.name] = [self._logits(point, hidden) for hidden in finished[point.name]]
        return [
            ReadSequence(
                tokens,
                count,
                {name: states[index] for name, states in finished.items()},
                {point.name: chosen[point.capture.positions][index] for point in self.points},
            )
            for index, (tokens, count) in enumerate(zip(self._tokens, self._prompt_tokens, strict=True))
        ]

    def _logits(self, point: Point, hidden: Tensor) -> Tensor:
        """Those of one sequence, which leave the device before the next one's are made."""
        with mode(self._with_gradients):
            found = logits_of(hidden, self._layout)
        if point.capture.keep == "device":
            return found
        found = self._transfer.send(found)
        self._transfer.wait()
        return found


def batched(tensor: Tensor, batch: int, point: Point) -> Tensor:
    """(batch, tokens, *width) of what some modules see as (batch x tokens, *width)."""
    whole = 4 if point.site.hook in HEAD_SITES else 3
    return tensor if tensor.ndim == whole else tensor.unflatten(0, (batch, -1))


def mode(with_gradients: bool) -> AbstractContextManager[object]:
    """Whether what runs inside is kept for a backward pass."""
    import torch

    return nullcontext() if with_gradients else torch.inference_mode()
