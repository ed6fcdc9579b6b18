"""Tensors as one run of bytes: moved in large pieces, and freed as a whole."""

from __future__ import annotations

import weakref
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, UntypedStorage

from ullage.runtime.role_weights import Cancelled

CHUNK: Final = 64 * 2**20
"""Bytes of one copy: enough for a bus to reach its speed, few enough to be asked for a stop between."""
_ALIGNED: Final = 512
"""Bytes at whose multiples torch's allocator begins a block; kernels count on far less."""
_GRAIN: Final = 16
"""Bytes of the widest element: offsets within a storage stay what they are modulo it."""
_LINE: Final = 64
"""Bytes of a processor's cache line."""
_WORD: Final = 8
"""Bytes at whose multiples a file of tensors begins those of any dtype."""


class Extent(NamedTuple):
    """Bytes `begin` to `end` of a storage, which stand at `offset` of an arena."""

    storage: UntypedStorage
    begin: int
    end: int
    offset: int


class Position(NamedTuple):
    """Where a tensor's first element is in an arena, in bytes, and its form."""

    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Packing:
    """How tensors lie one after the other in `bytes` bytes; those that share bytes still do."""

    positions: tuple[Position, ...]
    bytes: int

    def views(self, arena: Tensor) -> list[Tensor]:
        """The tensors, in an arena (uint8, (bytes,)) that holds their bytes."""
        storage, base = arena.untyped_storage(), arena.storage_offset()
        return [
            torch.empty(0, dtype=dtype, device=arena.device).set_(
                storage, (base + offset) // dtype.itemsize, shape, stride
            )
            for offset, dtype, shape, stride in self.positions
        ]


def pack(tensors: Sequence[Tensor], *, alike: bool = False) -> tuple[Packing, list[Extent]]:
    """How tensors that are on one device are packed, and which bytes that takes of their storages.

    `alike`: each begins at an address that is what it was modulo a cache line. A processor's matrix products
    add up in another order where it is not, and their last bits are others.
    """
    ranges: dict[int, list[tuple[int, int]]] = {}
    storages: dict[int, UntypedStorage] = {}
    for tensor in tensors:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage
        ranges.setdefault(storage._cdata, []).append(_range(tensor))
    homes: dict[int, list[Extent]] = {}
    at = 0
    for key, held in ranges.items():
        address = storages[key].data_ptr()
        for begin, end in _merged(held):
            shift = (address + begin) % _LINE if alike and address % _WORD == 0 else 0
            homes.setdefault(key, []).append(Extent(storages[key], begin, end, at + shift))
            at += -(-(shift + end - begin) // _ALIGNED) * _ALIGNED
    positions = []
    for tensor in tensors:
        extents = homes[tensor.untyped_storage()._cdata]
        home = extents[bisect_right(extents, _range(tensor)[0], key=lambda each: each.begin) - 1]
        first = int(tensor.storage_offset()) * tensor.element_size()
        shape = tuple(tensor.shape)
        positions.append(Position(home.offset + first - home.begin, tensor.dtype, shape, tensor.stride()))
    return Packing(tuple(positions), at), [extent for each in homes.values() for extent in each]


def gather(extents: Sequence[Extent], arena: Tensor, cancelled: Callable[[], bool]) -> None:
    """Copies the extents' bytes to their places in `arena`, on whatever device it is. Raises Cancelled."""
    pieces = []
    for storage, begin, end, offset in extents:
        whole = torch.empty(0, dtype=torch.uint8, device=storage.device)
        whole.set_(storage, begin, (end - begin,), (1,))
        pieces.append((arena[offset : offset + end - begin], whole))
    copy(pieces, cancelled)


def _range(tensor: Tensor) -> tuple[int, int]:
    """First and last byte of its storage that a tensor reaches, the first at a multiple of the grain."""
    width = tensor.element_size()
    first = int(tensor.storage_offset()) * width
    last = first
    if tensor.numel():
        last += width * (1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)))
    return first - first % _GRAIN, last


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if found and begin < found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found


def copy(pieces: Sequence[tuple[Tensor, Tensor]], cancelled: Callable[[], bool]) -> None:
    """Copies bytes (uint8, (n,)) from the second into the first of each pair; done when it returns.

    On a card over a stream of its own, two chunks under way at most. Raises Cancelled.
    """
    card = next((each.device for pair in pieces for each in pair if each.device.type == "cuda"), None)
    chunks = (
        (target[at : at + CHUNK], source[at : at + CHUNK])
        for target, source in pieces
        for at in range(0, target.numel(), CHUNK)
    )
    if card is None:
        for target, source in chunks:
            _go_on(cancelled)
            target.copy_(source)
        return
    stream = torch.cuda.Stream(card)
    stream.wait_stream(torch.cuda.current_stream(card))
    under_way: list[torch.cuda.Event] = []
    try:
        with torch.cuda.stream(stream):
            for target, source in chunks:
                _go_on(cancelled)
                target.copy_(source, non_blocking=True)
                under_way.append(stream.record_event())
                if len(under_way) > 1:
                    under_way.pop(0).synchronize()
    finally:
        stream.synchronize()


def _go_on(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled


def host_arena(size: int, pinned: bool) -> Tensor:
    """`size` bytes of host memory (uint8, (size,)), page-locked for a card where that can be had.

    Locked in place: torch's own pinned memory is rounded up to a power of two, and kept once it is freed.
    """
    arena = torch.empty(size, dtype=torch.uint8)
    if pinned and size:
        library = torch.cuda.cudart()
        address = arena.data_ptr()
        if int(library.cudaHostRegister(address, size, 0)) == 0:
            weakref.finalize(arena.untyped_storage(), library.cudaHostUnregister, address)
    return arena
