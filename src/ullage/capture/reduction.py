"""What is kept of a captured tensor: all positions of a sequence, the last, their mean or a span.

A reducer is fed the columns of a padded batch as they come (whole, chunk by chunk, token by token) and
gives one tensor per sequence at the end, padding gone:

    all, span   (positions, *width)    last, mean   (1, *width)
    attention patterns: (heads, queries, keys), `last` (heads, 1, keys)

where width is (hidden,) or (heads, head_dim). The mean is taken in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from ullage.capture.coverage import Coverage
from ullage.capture.sites import Point
from ullage.errors import UnsupportedError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PATTERN = "attn.hook_pattern"


class Reducer(Protocol):
    """Keeps part of one point's tensors."""

    def feed(self, tensor: Tensor, coverage: Coverage) -> None:
        """Takes what one pass gave, (rows, columns, *width), as `coverage` says whose it is."""

    def finish(self) -> list[Tensor]:
        """One tensor per sequence."""


Send = Callable[["Tensor"], "Tensor"]
"""Where what is kept goes: the host, or nowhere."""


def reducer_of(point: Point, sequences: int, spans: Sequence[tuple[int, int]], send: Send) -> Reducer:
    """The reducer `point.capture` asks for; what it keeps goes through `send`.

    `spans` are [begin, end) positions of each sequence.
    """
    positions = point.capture.positions
    dtype = dtype_of(point)
    if point.site.hook == PATTERN:
        if positions in ("mean", "span"):
            raise UnsupportedError(
                f"{point.name}: positions: {positions} of attention patterns is not defined; use all or last"
            )
        return _Patterns(sequences, positions == "last", dtype, send)
    if positions == "all":
        return _Spans(sequences, dtype, None, send)
    if positions == "span":
        return _Spans(sequences, dtype, spans, send)
    return _Mean(sequences, dtype, send) if positions == "mean" else _Last(sequences, dtype, send)


def dtype_of(point: Point) -> torch.dtype | None:
    """The dtype to keep, None for that of the model's arithmetic."""
    import torch

    names = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    return names.get(point.capture.precision)


class _Spans:
    """Positions [begin, end) of each sequence, or all of them."""

    def __init__(
        self, sequences: int, dtype: torch.dtype | None, spans: Sequence[tuple[int, int]] | None, send: Send
    ) -> None:
        self._dtype, self._spans, self._send = dtype, spans, send
        self._pieces: list[list[Tensor]] = [[] for _ in range(sequences)]

    def feed(self, tensor: Tensor, coverage: Coverage) -> None:
        import torch

        count = tensor.shape[1]
        wanted = []
        for part in coverage.parts:
            low, high = (part.begin, part.end) if self._spans is None else self._spans[part.sequence]
            low, high = max(low, part.begin), min(high, part.end)
            if low < high:
                first = part.row * count + part.column - part.begin
                wanted.append((part.sequence, first + low, first + high))
        if not wanted:
            return
        whole = [(row * count, (row + 1) * count) for row in range(tensor.shape[0])]
        if [place[1:] for place in wanted] == whole:
            kept = self._send(tensor.to(self._dtype or tensor.dtype))
            for (sequence, *_), row in zip(wanted, kept, strict=True):
                self._pieces[sequence].append(row)
            return
        real = [at for _, low, high in wanted for at in range(low, high)]
        rows = tensor.flatten(0, 1)[torch.tensor(real, device=tensor.device)]
        kept = self._send(rows.to(self._dtype or rows.dtype))
        begin = 0
        for sequence, low, high in wanted:
            self._pieces[sequence].append(kept[begin : begin + high - low])
            begin += high - low

    def finish(self) -> list[Tensor]:
        import torch

        found = []
        for index, pieces in enumerate(self._pieces):
            found.append(pieces[0] if len(pieces) == 1 else torch.cat(pieces))
            self._pieces[index] = []
        return found


class _Last:
    """The last position read."""

    def __init__(self, sequences: int, dtype: torch.dtype | None, send: Send) -> None:
        self._dtype, self._send = dtype, send
        self._kept: list[Tensor | None] = [None] * sequences

    def feed(self, tensor: Tensor, coverage: Coverage) -> None:
        parts = coverage.parts
        if not parts:
            return
        rows = tensor[
            [part.row for part in parts], [part.column + part.end - part.begin - 1 for part in parts]
        ]
        kept = self._send(rows.to(self._dtype or rows.dtype))
        for place, part in enumerate(parts):
            self._kept[part.sequence] = kept[place : place + 1]

    def finish(self) -> list[Tensor]:
        kept = [tensor for tensor in self._kept if tensor is not None]
        assert len(kept) == len(self._kept)
        return kept


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

    def finish(self) -> list[Tensor]:
        import torch

        means = [
            total / count for total, count in zip(self._sums, self._counts, strict=True) if total is not None
        ]
        kept = self._send(torch.cat(means).to(self._dtype or self._given))
        return [kept[index : index + 1] for index in range(len(means))]


class _Patterns:
    """Attention probabilities: a pass brings the rows of its queries over all keys so far."""

    def __init__(self, sequences: int, last: bool, dtype: torch.dtype | None, send: Send) -> None:
        self._last, self._dtype, self._send = last, dtype, send
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
            self._pieces[part.sequence] = [own] if self._last else [*self._pieces[part.sequence], own]

    def finish(self) -> list[Tensor]:
        import torch

        found = []
        for pieces in self._pieces:
            keys = max(piece.shape[2] for piece in pieces)
            padded = [torch.nn.functional.pad(piece, (0, keys - piece.shape[2])) for piece in pieces]
            found.append(padded[0] if len(padded) == 1 else torch.cat(padded, dim=1))
        return found
