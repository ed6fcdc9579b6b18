"""Copies of captured tensors to the host, under way while the model goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.cuda import Stream


class Transfer:
    """Sends tensors to host memory on streams of their own.

    Invariant: after `wait`, every tensor that `send` returned holds its values. A tensor that is on the
    host already, or in an autograd graph, is returned as it is.
    """

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}

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
            host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            host.copy_(tensor, non_blocking=True)
        # The allocator may hand the device memory out again only after the copy.
        tensor.record_stream(stream)
        return host

    def wait(self) -> None:
        """Returns once all copies are there."""
        for stream in self._streams.values():
            stream.synchronize()


def stay(tensor: Tensor) -> Tensor:
    """Keeps a tensor where it is."""
    return tensor
