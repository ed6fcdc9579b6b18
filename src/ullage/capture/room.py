"""Memory for what a pass keeps, taken before the pass takes its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

BLOCK: Final = 2**20
"""Bytes of a block: what of a room is not filled, or not given back, is less than one or two of them."""
ALIGNED: Final = 64
"""Bytes; torch's own alignment on a processor."""


class Room:
    """Blocks into which small tensors on a processor are copied while a pass runs.

    malloc finds no place for a tensor where one of the same size was freed, unless what lay beside it was
    freed too: a row kept between temporaries costs the bytes of those before it. What is kept of a first
    tensor tells how many blocks all of them will take.
    """

    def __init__(self, points: int, sequences: int) -> None:
        self._points, self._sequences = points, sequences
        self._blocks: list[Tensor] | None = None
        self._at = 0

    def keep(self, tensor: Tensor, sequences: int) -> Tensor:
        """A copy in this room of what one point gave of so many sequences; the tensor itself on a GPU, and in
        an autograd graph."""
        if tensor.device.type != "cpu" or tensor.requires_grad:
            return tensor
        size = -(-tensor.nbytes // ALIGNED) * ALIGNED
        if self._blocks is None:
            coming = size * self._sequences // sequences * self._points
            self._blocks = [_block(BLOCK) for _ in range(-(-coming // BLOCK))]
        if not self._blocks or self._at + size > self._blocks[-1].numel():
            self._next(size)
        begin, self._at = self._at, self._at + size
        place = self._blocks[-1][begin : begin + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        return place.copy_(tensor)

    def _next(self, size: int) -> None:
        """Goes on in the next block that has so many bytes; the last one is held by what is in it."""
        assert self._blocks is not None
        if self._blocks and self._at:
            self._blocks.pop()
        if not self._blocks or self._blocks[-1].numel() < size:
            self._blocks.append(_block(max(size, BLOCK)))
        self._at = 0

    def close(self) -> None:
        """Nothing more is kept; what was is held by those who have it."""
        self._blocks = []


def _block(size: int) -> Tensor:
    import torch

    return torch.empty(size, dtype=torch.uint8)
