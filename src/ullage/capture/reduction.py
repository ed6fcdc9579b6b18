"""What is kept of a captured tensor: the chosen positions of a sequence, or their mean.

A reducer is fed the columns of a padded batch as they come (whole, chunk by chunk, token by token) and
gives one tensor per sequence at the end, padding gone:

    chosen positions (all, last, a list, ...): (positions, *width)    mean: (1, *width)
    attention patterns: (heads, queries, keys), `last` (heads, 1, keys)

where width is (hidden,) or (heads, head_dim). The mean is taken in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from ullage.capture.coverage import Coverage, Part
from ullage.capture.room import Room
from ullage.capture.sites import Point
from ullage.errors import UnsupportedError
from ullage.spec.positions import Awaited, Range, joined, merged, written

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PATTERN = "attn.hook_pattern"


class Reducer(Protocol):
    """Keeps part of one point's tensors."""

    def feed(self, tensor: Tensor, coverage: Coverage) -> None:
        """Takes what one pass gave, (rows, columns, *width), as `coverage` says whose it is."""

    def finish(self, chosen: Sequence[Sequence[Range]]) -> list[Tensor]:
        """One tensor per sequence, of the positions that are `chosen` of it, in that order."""


Send = Callable[["Tensor"], "Tensor"]
"""Where what is kept goes: the host, or nowhere."""


def reducer_of(point: Point, wanted: Sequence[Awaited], send: Send, room: Room | None = None) -> Reducer:
    """The reducer `point.capture` asks for; what it keeps goes through `send`, and waits in the `room`, if
    there is one, for the end of a pass, where it is a row of each sequence.

    `wanted` are the positions of each sequence that may be chosen at the end.
    """
    positions = point.capture.positions
    dtype = dtype_of(point)
    if point.site.hook == PATTERN:
        if positions not in ("all", "last"):
            raise UnsupportedError(
                f"{point.name}: positions: {written(positions)} of attention patterns is not defined; use "
                "all or last"
            )
        return _Patterns(len(wanted), positions == "last", dtype, send, room)
    if positions == "mean":
        return _Mean(len(wanted), dtype, send)
    if positions == "last":
        return _Last(len(wanted), dtype, send, room)
    return _Chosen(wanted, dtype, send)


def dtype_of(point: Point) -> torch.dtype | None:
    """The dtype to keep, None for that of the model's arithmetic."""
    import torch

    names = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    return names.get(point.capture.precision)


class _Chosen:
    """Some positions of each sequence, or all of them.

    Invariant: the pieces of a sequence are states from some position on, ascending and apart, and hold every
    position read so far that is awaited.
    """

    def __init__(self, wanted: Sequence[Awaited], dtype: torch.dtype | None, send: Send) -> None:
        self._wanted, self._dtype, self._send = wanted, dtype, send
        self._pieces: list[list[tuple[int, Tensor]]] = [[] for _ in wanted]
        self._nothing: Tensor | None = None
        self._lets_go = any(each.tail for each in wanted)

    def feed(self, tensor: Tensor, coverage: Coverage) -> None:
        import torch

        if self._nothing is None:
            self._nothing = tensor.new_empty((0, *tensor.shape[2:]), dtype=self._dtype or tensor.dtype)
        count = tensor.shape[1]
        taken = []
        for part in coverage.parts:
            first = part.row * count + part.column - part.begin
            for low, high in self._within(part):
                taken.append((part.sequence, low, first + low, first + high))
        if not taken:
            return
        whole = [(row * count, (row + 1) * count) for row in range(tensor.shape[0])]
        if [place[2:] for place in taken] == whole:
            kept = self._send(tensor.to(self._dtype or tensor.dtype)).unbind()
        else:
            real = [at for *_, low, high in taken for at in range(low, high)]
            rows = tensor.flatten(0, 1)[torch.tensor(real, device=tensor.device)]
            kept = self._send(rows.to(self._dtype or rows.dtype)).split([end - at for *_, at, end in taken])
        for (sequence, position, *_), states in zip(taken, kept, strict=True):
            self._pieces[sequence].append((position, states))
        if self._lets_go:
            for part in coverage.parts:
                self._let_go(part)

    def _within(self, part: Part) -> Iterator[Range]:
        """What of a part's positions is awaited."""
        ranges, tail = self._wanted[part.sequence]
        newest = (max(part.end - tail, 0), part.end)
        for low, high in merged((*ranges, newest)) if tail else ranges:
            if max(low, part.begin) < min(high, part.end):
                yield max(low, part.begin), min(high, part.end)

    def _let_go(self, part: Part) -> None:
        """Pieces that were among the last positions, and no longer are."""
        ranges, tail = self._wanted[part.sequence]
        self._pieces[part.sequence] = [
            (at, rows)
            for at, rows in self._pieces[part.sequence]
            if at + len(rows) > part.end - tail
            or any(low < at + len(rows) and at < high for low, high in ranges)
        ]

    def finish(self, chosen: Sequence[Sequence[Range]]) -> list[Tensor]:
        import torch

        found = []
        for index, pieces in enumerate(self._pieces):
            held = [rows for _, rows in pieces]
            there = joined((at, at + len(rows)) for at, rows in pieces)
            if not chosen[index]:
                assert self._nothing is not None
                found.append(self._send(self._nothing))
            else:
                rows = held[0] if len(held) == 1 else torch.cat(held)
                if joined(chosen[index]) != there:
                    rows = rows[torch.tensor(_places(chosen[index], there), device=rows.device)]
                found.append(rows)
            self._pieces[index] = []
        return found


def _places(chosen: Iterable[Range], there: Sequence[Range]) -> list[int]:
    """Rows of the chosen positions among those that are there."""
    found: list[int] = []
    for low, high in chosen:
        before = 0
        for begin, end in there:
            if begin <= low and high <= end:
                found += range(before + low - begin, before + high - begin)
                break
            before += end - begin
        else:
            raise AssertionError(f"positions {low} to {high} were not kept")
    return found


class _Last:
    """The last position read."""

    def __init__(self, sequences: int, dtype: torch.dtype | None, send: Send, room: Room | None) -> None:
        self._dtype, self._send, self._room = dtype, send, room
        self._kept: list[Tensor | None] = [None] * sequences

    def feed(self, tensor: Tensor, coverage: Coverage) -> None:
        parts = coverage.parts
        if not parts:
            return
        rows = tensor[
            [part.row for part in parts], [part.column + part.end - part.begin - 1 for part in parts]
        ]
        kept = self._send(rows.to(self._dtype or rows.dtype))
        if self._room is not None:
            kept = self._room.keep(kept, len(parts))
        for place, part in enumerate(parts):
            self._kept[part.sequence] = kept[place : place + 1]

    def finish(self, _chosen: Sequence[Sequence[Range]]) -> list[Tensor]:
        import torch

        kept = [tensor for tensor in self._kept if tensor is not None]
        assert len(kept) == len(self._kept)
        self._kept = []
        return kept if self._room is None else list(torch.cat(kept).split(1))


class _Mean:
    """The mean over the positions read."""

    def __init__(self, sequences: int, dtype: torch.dtype | None, send: Send) -> None:
        self._dtype, self._send = dtype, send
        self._sums: list[Tensor | None] = [None] * sequences
        self._counts = [0] * sequences
        self._given: torch.dtype | None = None

    def feed(self, tensor: Tensor, coverage: Coverage) -> None:
        import torch

        self._given = tensor.dtype
        for part in coverage.parts:
            count = part.end - part.begin
            own = tensor[part.row, part.column : part.column + count]
            total = own.sum(0, keepdim=True, dtype=torch.float32)
            before = self._sums[part.sequence]
            self._sums[part.sequence] = total if before is None else before + total
            self._counts[part.sequence] += count

    def finish(self, _chosen: Sequence[Sequence[Range]]) -> list[Tensor]:
        import torch

        means = [
            total / count for total, count in zip(self._sums, self._counts, strict=True) if total is not None
        ]
        kept = self._send(torch.cat(means).to(self._dtype or self._given))
        return [kept[index : index + 1] for index in range(len(means))]


class _Patterns:
    """Attention probabilities: a pass brings the rows of its queries over all keys so far."""

    def __init__(
        self, sequences: int, last: bool, dtype: torch.dtype | None, send: Send, room: Room | None
    ) -> None:
        self._last, self._dtype, self._send = last, dtype, send
        self._room = room if last else None
        self._pieces: list[list[Tensor]] = [[] for _ in range(sequences)]

    def feed(self, tensor: Tensor, coverage: Coverage) -> None:
        import torch

        queries, keys = tensor.shape[2:]
        for part in coverage.parts:
            high = part.column + part.end - part.begin
            low = high - 1 if self._last else part.column
            # Where position 0 is among the keys; before them where a window has let it go.
            first = keys - queries + part.column - part.begin
            seen = tensor[part.row, :, low:high, max(first, 0) : first + part.end]
            kept = torch.nn.functional.pad(seen, (max(-first, 0), 0))
            own = self._send(kept.to(self._dtype or kept.dtype, copy=kept is seen))
            if self._room is not None:
                own = self._room.keep(own, 1)
            self._pieces[part.sequence] = [own] if self._last else [*self._pieces[part.sequence], own]

    def finish(self, _chosen: Sequence[Sequence[Range]]) -> list[Tensor]:
        import torch

        found = []
        for index, pieces in enumerate(self._pieces):
            keys = max(piece.shape[2] for piece in pieces)
            if len(pieces) == 1 and self._room is None:
                found.append(pieces[0])
            else:
                padded = [torch.nn.functional.pad(piece, (0, keys - piece.shape[2])) for piece in pieces]
                found.append(torch.cat(padded, dim=1))
            self._pieces[index] = []
        return found
