"""Copies of captured tensors to the host, under way while the model goes on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.cuda import Stream

SLAB: Final = 2**20
"""Bytes of host memory that are pinned first; every further slab is twice as large as the last."""
LARGEST_SLAB: Final = 64 * 2**20
ALIGNMENT: Final = 64
"""Bytes; every tensor in a slab begins at a multiple of it, as torch's own on the host do."""


class Transfer:
    """Sends tensors to host memory on streams of their own.

    Invariant: after `wait`, every tensor that `send` returned holds its values. A tensor that is on the
    host already, or in an autograd graph, is returned as it is.

    Memory is pinned in slabs that many tensors share, for pinning is slow whatever its size: a token's states
    pinned by themselves took 40 to 70 ms on an H200 (benchmarks/results/gpu-NVIDIA-H200.json).
    """

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}
        self._slab: Tensor | None = None
        self._used = 0

    def send(self, tensor: Tensor) -> Tensor:
        """The tensor's copy in pinned host memory, perhaps not there yet."""
        if tensor.device.type != "cuda" or tensor.requires_grad:
            return tensor
        import torch

        index = tensor.device.index
        if index not in self._streams:
            self._streams[index] = torch.cuda.Stream(index)
        stream = self._streams[index]
        stream.wait_stream(torch.cuda.current_stream(index))
        with torch.cuda.stream(stream):
            host = self._pinned(tensor.shape, tensor.dtype)
            host.copy_(tensor, non_blocking=True)
        # The allocator may hand the device memory out again only after the copy.
        tensor.record_stream(stream)
        return host

    def _pinned(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """A tensor in pinned memory: of its own where it is large, else the next place of a slab."""
        import torch

        size = math.prod(shape) * dtype.itemsize
        if 2 * size > LARGEST_SLAB:
            return torch.empty(shape, dtype=dtype, pin_memory=True)
        if self._slab is None or self._used + size > self._slab.numel():
            last = SLAB // 2 if self._slab is None else self._slab.numel()
            new = min(max(2 * last, 2 ** (2 * size).bit_length()), LARGEST_SLAB)
            self._slab, self._used = torch.empty(new, dtype=torch.uint8, pin_memory=True), 0
        place = self._slab[self._used : self._used + size]
        self._used += -(-size // ALIGNMENT) * ALIGNMENT
        return place.view(dtype).view(shape)

    def wait(self) -> None:
        """Returns once all copies are there."""
        for stream in self._streams.values():
            stream.synchronize()


def stay(tensor: Tensor) -> Tensor:
    """Keeps a tensor where it is."""
    return tensor
