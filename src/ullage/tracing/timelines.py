"""A trace, replayed through torch's allocator: what is alive and what is reserved, moment by moment."""

from __future__ import annotations

from typing import Final, NamedTuple

from ullage.memory.allocator.blocks import Block
from ullage.memory.allocator.caching import Act, CachingAllocator
from ullage.memory.allocator.full import Full
from ullage.memory.allocator.settings import Settings
from ullage.memory.timeline import Lived, Moment, Shortage
from ullage.tracing.storages import Event, Made
from ullage.tracing.trace import Trace

LOADED: Final = "loaded"
"""The stage of what is there before the pass."""
SPARED: Final = 1_288_490_189
"""Bytes of a card (1.2 GiB) that transformers leaves when it asks for all weights at once
(`caching_allocator_warmup`, modeling_utils.py)."""
LIBRARY: Final = "the matrix library's workspace"


class Replayed(NamedTuple):
    """What a `Timeline` has of one pass."""

    tensors: tuple[Lived, ...]
    moments: tuple[Moment, ...]
    acts: tuple[tuple[Act, int], ...]
    stuck: int
    shortage: Shortage | None


def replayed(trace: Trace, settings: Settings | None, capacity: int | None, workspace: int) -> Replayed:
    """A pass on a card, or on a processor (`settings` None), whose malloc keeps no segments.

    Weights come in their order, after all their bytes were asked for at once as transformers does; then
    `workspace` bytes of the matrix library, which stay. It ends where a tensor finds no room.
    """
    replay = _Replay(settings, capacity)
    try:
        replay.load(trace, workspace)
        for event in trace.events:
            if event.bytes > 0:
                replay.come(event, _made(trace, event))
            elif event.bytes < 0:
                replay.go(event)
    except Full as full:
        return replay.found(str(full))
    return replay.found("")


def _made(trace: Trace, event: Event) -> Made:
    made = trace.made[event.storage]
    return made._replace(component="captures") if event.storage in trace.results else made


class _Replay:
    """State: the allocator (None: malloc), the tensors so far, and those that are there, by storage."""

    def __init__(self, settings: Settings | None, capacity: int | None) -> None:
        self._happened: list[Act] = []
        self._allocator = None
        if settings is not None:
            self._allocator = CachingAllocator(settings, capacity, self._happened)
        self._live = 0
        self._tensors: list[Lived] = []
        self._moments: list[Moment] = []
        self._acts: list[tuple[Act, int]] = []
        self._there: dict[int, tuple[int, Block | None]] = {}
        self._asking = Lived("", LIBRARY, "workspace", (), "", 0, 0), LOADED

    def load(self, trace: Trace, workspace: int) -> None:
        """The weights, and what stays beside them. Raises Full."""
        if self._allocator is not None:
            capacity = self._allocator.capacity
            total = sum(trace.weights)
            total = total if capacity is None else min(total, capacity - SPARED)
            if total > 0:
                self._allocator.free(self._allocator.allocate(total))
                self._note(-1)
        for size, made in zip(trace.weights, trace.loaded, strict=True):
            if size:
                self._take(size, made, LOADED)
        if workspace:
            self._take(workspace, Made("", LIBRARY, (workspace,), "uint8", "workspace"), LOADED)
        self._moment(LOADED)

    def come(self, event: Event, made: Made) -> None:
        """A storage of the pass. Raises Full."""
        block = self._take(event.bytes, made, event.stage)
        self._there[event.storage] = len(self._tensors) - 1, block
        self._moment(event.stage)

    def go(self, event: Event) -> None:
        number, block = self._there.pop(event.storage)
        lived = self._tensors[number]
        self._tensors[number] = lived._replace(gone=len(self._moments))
        self._live -= lived.bytes
        if self._allocator is not None and block is not None:
            self._allocator.free(block)
            self._note(number)
        self._moment(event.stage)

    def found(self, words: str) -> Replayed:
        """All of it; `words` are torch's where it ended for want of room."""
        shortage = Shortage(*self._asking, words) if words else None
        if not self._moments:
            self._moment(LOADED)
        self._note(-1)
        stuck = 0 if self._allocator is None else self._allocator.stuck
        return Replayed(tuple(self._tensors), tuple(self._moments), tuple(self._acts), stuck, shortage)

    def _take(self, size: int, made: Made, stage: str) -> Block | None:
        module, operation, shape, dtype, component = made
        lived = Lived(module, operation, component, shape, dtype, size, len(self._moments))
        self._asking = lived, stage
        block = None if self._allocator is None else self._allocator.allocate(size)
        self._live += size
        self._tensors.append(lived)
        self._note(len(self._tensors) - 1)
        return block

    def _moment(self, stage: str) -> None:
        held = self._allocator
        allocated, reserved = (self._live,) * 2 if held is None else (held.allocated, held.reserved)
        self._moments.append(Moment(stage, self._live, allocated, reserved))

    def _note(self, tensor: int) -> None:
        """What the allocator has done since is of `tensor` (below 0: of none)."""
        self._acts += [(act, tensor) for act in self._happened]
        self._happened.clear()
