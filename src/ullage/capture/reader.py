"""Runs one batch of token sequences through a model and gives the states of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ullage.capture.choosing import Choosing
from ullage.capture.coverage import right_padded
from ullage.capture.hooks import listening, run_pass
from ullage.capture.listener import Listener, ReadSequence, batched, mode
from ullage.capture.logits import logits_of
from ullage.capture.reduction import dtype_of
from ullage.capture.sites import Point
from ullage.capture.streaming import blockwise, reserved_cache
from ullage.capture.taps import PATTERN, Tap, given_back
from ullage.capture.transfer import Transfer
from ullage.memory.captures.sites import LOGITS
from ullage.runtime.layout import Layout
from ullage.runtime.rope import frequencies_of, groups
from ullage.spec.positions import Range

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Chunk:
    """Positions [begin, end) of a streamed batch: tensors (batch, end - begin, *width) by site name, patterns
    (batch, heads, end - begin, end)."""

    begin: int
    end: int
    states: dict[str, Tensor]


@dataclass(slots=True)
class Reader:
    """A model with the points to read. `chunk_tokens` streams longer sequences in chunks of that many.

    `layout` is the decoder of `model`. `with_gradients` leaves the states in the autograd graph. `stop` ends
    a pass after its last point. `special` are the ids of special tokens. `transfer` is how states go to the
    host.
    """

    model: nn.Module
    layout: Layout
    points: tuple[Point, ...]
    chunk_tokens: int | None = None
    with_gradients: bool = False
    stop: bool = True
    device: torch.device | str = "cpu"
    padding: int = 0
    special: frozenset[int] = frozenset()
    transfer: Transfer | None = None
    eager: bool = field(init=False)

    def __post_init__(self) -> None:
        self.eager = any(point.site.hook == "attn.hook_pattern" for point in self.points)

    def read(self, sequences: Sequence[Sequence[int]], spans: Sequence[Range] = ()) -> list[ReadSequence]:
        """The states of each sequence, all in one padded batch.

        Padding stands on the right, where causal attention keeps it from every real token, so no mask is
        needed and the arithmetic is that of the plain forward pass. Where frequencies depend on a text's
        length, those that share them share a pass.
        """
        found: dict[int, ReadSequence] = {}
        for places in groups(self.layout.config, [len(each) for each in sequences]):
            own = [spans[place] for place in places] if spans else ()
            found |= zip(places, self._read_together([sequences[p] for p in places], own), strict=True)
        return [found[place] for place in range(len(sequences))]

    def _read_together(
        self, sequences: Sequence[Sequence[int]], spans: Sequence[Range]
    ) -> list[ReadSequence]:
        lengths = [len(each) for each in sequences]
        longest = max(lengths)
        chunked = self.chunk_tokens is not None and self.chunk_tokens < longest
        listener = Listener(
            self.points,
            self.layout,
            self.choosing(sequences, spans),
            stop=self.stop,
            with_gradients=self.with_gradients,
            transfer=self.transfer,
            one_pass=not chunked,
        )
        ids = padded(sequences, self.device, self.padding)
        if chunked:
            listener.stop_at = self._last_of_chunk
            for _ in self._chunks(ids, lambda *columns: listener.during(right_padded(lengths, *columns))):
                pass
        else:
            frequencies = frequencies_of(self.model, self.layout.config, longest)
            with frequencies, mode(self.with_gradients), listener.during(right_padded(lengths, 0, longest)):
                run_pass(self.layout.base, input_ids=ids, use_cache=False, **self._extra)
        listener.ended(sequences, lengths)
        return listener.finish()

    def stream(self, sequences: Sequence[Sequence[int]]) -> Iterator[Chunk]:
        """Chunk by chunk, what each point gives; what is not kept is freed before the next chunk.

        Columns beyond a sequence's length are padding.
        """
        from torch.nn.functional import pad

        held: dict[str, Tensor] = {}
        ends = [0]

        def keep(point: Point, tensor: Tensor) -> None:
            tensor = batched(tensor, len(sequences), point)
            if point.site.hook == LOGITS:
                tensor = logits_of(tensor, self.layout)
            if point.site.hook == PATTERN:  # a window's keys are the last of those before
                tensor = pad(tensor, (ends[0] - tensor.shape[-1], 0))
            held[point.name] = tensor.to(dtype_of(point) or tensor.dtype)

        def listen(_begin: int, end: int) -> AbstractContextManager[None]:
            ends[0] = end
            return listening(self.points, keep, stop=self.stop, at_least=self._last_of_chunk)

        for begin, end in self._chunks(padded(sequences, self.device, self.padding), listen):
            yield Chunk(begin, end, held)
            held = {}

    def choosing(self, sequences: Sequence[Sequence[int]], spans: Sequence[Range] = ()) -> Choosing:
        """What is kept of sequences that nothing will follow."""
        return Choosing(len(sequences), spans, self.special, sequences)

    def listener(self, sequences: int, spans: Sequence[Range] = ()) -> Listener:
        """What hears a batch of `sequences` at this reader's points, whoever runs it."""
        return Listener(self.points, self.layout, Choosing(sequences, spans, self.special))

    def _chunks(
        self, ids: Tensor, listen: Callable[[int, int], AbstractContextManager[None]]
    ) -> Iterator[tuple[int, int]]:
        """Runs chunk after chunk, each inside `listen` of its columns; the columns of each."""
        size = self.chunk_tokens or ids.shape[1]
        cache = reserved_cache(self.layout.config, ids.shape[1])
        for begin in range(0, ids.shape[1], size):
            end = min(begin + size, ids.shape[1])
            attention = nullcontext() if self.eager else blockwise(self.model)
            frequencies = frequencies_of(self.model, self.layout.config, ids.shape[1])
            with attention, frequencies, mode(self.with_gradients), listen(begin, end):
                run_pass(
                    self.layout.base,
                    input_ids=ids[:, begin:end],
                    past_key_values=cache,
                    use_cache=True,
                    **self._extra,
                )
            yield begin, end

    @property
    def _last_of_chunk(self) -> Tap | None:
        """What must have run before a chunk's pass may end: positions are counted by what the first block
        keeps of earlier chunks."""
        first = all(point.site.block <= 1 for point in self.points)
        return Tap(self.layout.layers[0], "end", given_back) if first else None

    @property
    def _extra(self) -> dict[str, bool]:
        return {"output_attentions": True} if self.eager else {}


def padded(sequences: Sequence[Sequence[int]], device: torch.device | str, padding: int = 0) -> Tensor:
    """Token ids (batch, longest), padded on the right: causal attention keeps it from every real token."""
    import torch

    longest = max(map(len, sequences))
    rows = [[*sequence, *[padding] * (longest - len(sequence))] for sequence in sequences]
    return torch.tensor(rows, dtype=torch.long, device=device)
