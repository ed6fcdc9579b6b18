"""Tensors of a device, and the host memory that holds their bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ullage.runtime.arena import copy, gather, host_arena, pack


class HostCopy:
    """The bytes of one device's tensors in one run of host memory, page-locked where the device is a card.

    The tensors stay the same objects: their data is on the device, or here. They are read only: what was
    copied once is never copied back.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        """Copies tensors that are on one device; they stay there until `rest`."""
        self.tensors = tuple(tensors)
        self.device = tensors[0].device
        self._packing, extents = pack(tensors, alike=True)
        self._arena = host_arena(self._packing.bytes, self.device.type == "cuda")
        gather(extents, self._arena, lambda: False)
        self._left = [each.data_ptr() for each in self.tensors]

    @property
    def bytes(self) -> int:
        """Of host memory."""
        return self._packing.bytes

    @property
    def stale(self) -> bool:
        """Whether a pass has given a tensor other data since: bitsandbytes packs 4-bit weights anew in the
        first one on a processor."""
        return [each.data_ptr() for each in self.tensors] != self._left

    def rest(self) -> None:
        """The tensors' data is here; the device's is free once nobody else holds it."""
        self._point(self._arena)

    def sent(self, cancelled: Callable[[], bool]) -> Tensor:
        """The same bytes on the device (uint8, (bytes,)). Raises Cancelled."""
        arena = torch.empty(self.bytes, dtype=torch.uint8, device=self.device)
        copy([(arena, self._arena)], cancelled)
        return arena

    def wake(self, sent: Tensor) -> None:
        """The tensors' data is on the device, where `sent` put it."""
        self._point(sent)

    def _point(self, arena: Tensor) -> None:
        for tensor, view in zip(self.tensors, self._packing.views(arena), strict=True):
            tensor.data = view
        self._left = [each.data_ptr() for each in self.tensors]


def copied(tensors: Sequence[Tensor]) -> list[HostCopy]:
    """Host copies of tensors wherever they are, one a device."""
    found: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.device.type != "meta":
            found.setdefault(tensor.device, []).append(tensor)
    return [HostCopy(each) for each in found.values()]
