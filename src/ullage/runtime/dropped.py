"""What brings a model's tensors back from its checkpoint into modules that were kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from ullage.runtime.arena import gather, pack
from ullage.runtime.role_weights import Cancelled
from ullage.runtime.slots import Slots
from ullage.runtime.weight_files import Opened, Source, WeightFiles, read, touch

KEPT: Final = 64 * 1024
"""Bytes of tables that no file has and that stay with a dropped model's modules, as rotary frequencies."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A tensor that lies in a file, its dtype and the device where it was."""

    tensor: Tensor
    source: Source
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True, slots=True)
class Dropped:
    """Tensors without data, and where that lies; `kept` are small ones whose data no file has, by device."""

    stored: tuple[_Stored, ...]
    kept: tuple[tuple[Tensor, torch.device], ...]

    def restore(self, cancelled: Callable[[], bool], one_memory: bool) -> None:
        """Gives every tensor its data again, copied in one run a device unless host and device are one
        memory. Raises Cancelled, FormatError; then none has any."""
        opened: Opened = {}
        found = []
        for each in self.stored:
            if cancelled():
                raise Cancelled
            found.append(read(each.source, opened).to(each.dtype))
        touch(found, cancelled)
        for device in set() if one_memory else {each.device for each in self.stored}:
            places = [index for index, each in enumerate(self.stored) if each.device == device]
            packing, extents = pack([found[index] for index in places], alike=device.type == "cpu")
            arena = torch.empty(packing.bytes, dtype=torch.uint8, device=device)
            gather(extents, arena, cancelled)
            for index, view in zip(places, packing.views(arena), strict=True):
                found[index] = view
        tables = [tensor.to(device) for tensor, device in self.kept]
        for each, data in zip(self.stored, found, strict=True):
            each.tensor.data = data
        for (tensor, _), data in zip(self.kept, tables, strict=True):
            tensor.data = data


def drop_tensors(
    slots: Slots, files: WeightFiles | None, devices: Mapping[int, torch.device]
) -> Dropped | None:
    """Empties every tensor that lies in `files`; None, and none is emptied, where more than small tables do
    not. `devices`: where tensors belong (by their id) that are elsewhere now."""
    if files is None or slots.inner:
        return None
    opened: Opened = {}
    stored, kept = [], []
    for slot in slots:
        tensor = slot.tensor
        device = devices.get(id(tensor), tensor.device)
        source = files.find(slot.names, tensor, opened)
        if source is None:
            kept.append((tensor, device))
        else:
            stored.append(_Stored(tensor, source, tensor.dtype, device))
        if sum(each.nbytes for each, _ in kept) > KEPT:
            return None
    for each in stored:
        each.tensor.data = torch.empty(0, dtype=each.dtype)
    for tensor, _ in kept:
        tensor.data = tensor.cpu()
    return Dropped(tuple(stored), tuple(kept))
