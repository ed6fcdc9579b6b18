"""What is kept of a captured tensor: all positions of a sequence, the last, their mean or a span.

A reducer is fed the columns of a padded batch as they come (whole, chunk by chunk, token by token) and
gives one tensor per sequence at the end, padding gone:

    all, span   (positions, *width)    last, mean   (1, *width)
    attention patterns: (heads, queries, keys), `last` (heads, 1, keys)

where width is (hidden,) or (heads, head_dim). The mean is taken in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ullage.capture.sites import Point
from ullage.errors import UnsupportedError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PATTERN = "attn.hook_pattern"


@dataclass(slots=True)
class Rows:
    """The sequences of a padded batch: columns [first, first + length) of each are real.

    `lengths` may grow while tokens are generated. `spans` are [begin, end) positions of each sequence.
    """

    first: list[int]
    lengths: list[int]
    spans: Sequence[tuple[int, int]] = ()


class Reducer(Protocol):
    """Keeps part of one point's tensors."""

    def feed(self, tensor: Tensor, begin: int) -> None:
        """Takes columns [begin, begin + tokens) of the batch, (batch, tokens, *width)."""

    def finish(self) -> list[Tensor]:
        """One tensor per sequence."""


Send = Callable[["Tensor"], "Tensor"]
"""Where what is kept goes: the host, or nowhere."""


def reducer_of(point: Point, rows: Rows, send: Send) -> Reducer:
    """The reducer `point.capture` asks for; what it keeps goes through `send`."""
    positions = point.capture.positions
    dtype = dtype_of(point)
    if point.site.hook == PATTERN:
        if positions in ("mean", "span"):
            raise UnsupportedError(
                f"{point.name}: positions: {positions} of attention patterns is not defined; use all or last"
            )
        return _Patterns(rows, positions == "last", dtype, send)
    if positions == "all":
        return _Spans(rows, dtype, None, send)
    if positions == "span":
        return _Spans(rows, dtype, rows.spans, send)
    return _Mean(rows, dtype, send) if positions == "mean" else _Last(rows, dtype, send)


def dtype_of(point: Point) -> torch.dtype | None:
    """The dtype to keep, None for that of the model's arithmetic."""
    import torch

    names = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    return names.get(point.capture.precision)


class _Spans:
    """Positions [begin, end) of each sequence, or all of them."""

    def __init__(
        self, rows: Rows, dtype: torch.dtype | None, spans: Sequence[tuple[int, int]] | None, send: Send
    ) -> None:
        self._rows, self._dtype, self._spans, self._send = rows, dtype, spans, send
        self._pieces: list[list[Tensor]] = [[] for _ in rows.first]

    def feed(self, tensor: Tensor, begin: int) -> None:
        import torch

        count = tensor.shape[1]
        wanted = []
        for index, first in enumerate(self._rows.first):
            low, high = (0, self._rows.lengths[index]) if self._spans is None else self._spans[index]
            low, high = first + low - begin, first + high - begin
            wanted.append((max(low, 0), min(high, count)))
        if all(bounds == (0, count) for bounds in wanted):
            for index, row in enumerate(self._send(tensor.to(self._dtype or tensor.dtype))):
                self._pieces[index].append(row)
            return
        real = [index * count + column for index, bounds in enumerate(wanted) for column in range(*bounds)]
        if not real:
            return
        rows = tensor.flatten(0, 1)[torch.tensor(real, device=tensor.device)]
        kept = self._send(rows.to(self._dtype or rows.dtype))
        begin = 0
        for index, (low, high) in enumerate(wanted):
            if low < high:
                self._pieces[index].append(kept[begin : begin + high - low])
                begin += high - low

    def finish(self) -> list[Tensor]:
        import torch

        found = []
        for index, pieces in enumerate(self._pieces):
            found.append(pieces[0] if len(pieces) == 1 else torch.cat(pieces))
            self._pieces[index] = []
        return found


class _Last:
    """The last real position; while tokens are generated, the last one read."""

    def __init__(self, rows: Rows, dtype: torch.dtype | None, send: Send) -> None:
        self._rows, self._dtype, self._send = rows, dtype, send
        self._kept: list[Tensor | None] = [None] * len(rows.first)

    def feed(self, tensor: Tensor, begin: int) -> None:
        columns = {
            index: first + self._rows.lengths[index] - 1 - begin
            for index, first in enumerate(self._rows.first)
        }
        here = {index: column for index, column in columns.items() if 0 <= column < tensor.shape[1]}
        if not here:
            return
        rows = tensor[list(here), list(here.values())]
        kept = self._send(rows.to(self._dtype or rows.dtype))
        for place, index in enumerate(here):
            self._kept[index] = kept[place : place + 1]

    def finish(self) -> list[Tensor]:
        kept = [tensor for tensor in self._kept if tensor is not None]
        assert len(kept) == len(self._kept)
        return kept


class _Mean:
    """The mean over real positions."""

    def __init__(self, rows: Rows, dtype: torch.dtype | None, send: Send) -> None:
        self._rows, self._dtype, self._send = rows, dtype, send
        self._sums: list[Tensor | None] = [None] * len(rows.first)
        self._counts = [0] * len(rows.first)
        self._given: torch.dtype | None = None

    def feed(self, tensor: Tensor, begin: int) -> None:
        import torch

        self._given = tensor.dtype
        for index, first in enumerate(self._rows.first):
            low = max(first - begin, 0)
            high = min(first + self._rows.lengths[index] - begin, tensor.shape[1])
            if low < high:
                part = tensor[index, low:high].sum(0, keepdim=True, dtype=torch.float32)
                before = self._sums[index]
                self._sums[index] = part if before is None else before + part
                self._counts[index] += high - low

    def finish(self) -> list[Tensor]:
        import torch

        means = [
            total / count for total, count in zip(self._sums, self._counts, strict=True) if total is not None
        ]
        kept = self._send(torch.cat(means).to(self._dtype or self._given))
        return [kept[index : index + 1] for index in range(len(means))]


class _Patterns:
    """Attention probabilities: a chunk brings the rows of its queries over all keys so far."""

    def __init__(self, rows: Rows, last: bool, dtype: torch.dtype | None, send: Send) -> None:
        self._rows, self._last, self._dtype, self._send = rows, last, dtype, send
        self._pieces: list[list[Tensor]] = [[] for _ in rows.first]

    def feed(self, tensor: Tensor, begin: int) -> None:
        count = tensor.shape[2]
        for index, first in enumerate(self._rows.first):
            stop = first + self._rows.lengths[index]
            low = max((stop - 1 if self._last else first) - begin, 0)
            high = min(stop - begin, count)
            if low < high:
                part = tensor[index, :, low:high, first : min(stop, tensor.shape[3])]
                self._pieces[index].append(self._send(part.to(self._dtype or part.dtype, copy=True)))
                if self._last:
                    self._pieces[index] = self._pieces[index][-1:]

    def finish(self) -> list[Tensor]:
        import torch

        found = []
        for pieces in self._pieces:
            keys = max(piece.shape[2] for piece in pieces)
            padded = [torch.nn.functional.pad(piece, (0, keys - piece.shape[2])) for piece in pieces]
            found.append(padded[0] if len(padded) == 1 else torch.cat(padded, dim=1))
        return found
