"""Every storage that code on fake tensors makes, from its birth to its death."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

import torch
from torch import Tensor, UntypedStorage
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from ullage.runtime.live import is_made_of_others

MOST_EVENTS: Final = 4_000_000
"""A pass through 100 layers has about 100,000: what goes on for so long has no end."""


Workspaces = Callable[[OpOverload, Sequence[object], object], int]


class EndlessError(Exception):
    """More storages came and went than any pass makes."""


class Event(NamedTuple):
    """Storage number `storage` of `bytes` comes (above 0) or goes, while `stage` lasts."""

    storage: int
    bytes: int
    stage: str


@dataclass(frozen=True, slots=True)
class Peak:
    """The fullest moment: its bytes, the stage it is in, and by the stage in which they came the bytes of all
    but the results, which are still there at the end."""

    bytes: int
    stage: str
    by_stage: Mapping[str, int]


class Storages(FakeTensorMode):
    """While it is entered, tensors are fake, and each of their storages is told of in `events`.

    Invariant: the bytes of all events add up to those of the storages that are referenced. `stage` is what
    the next ones are said to be of; with `uncounted` nothing is told of, as of what lies elsewhere.
    """

    def __init__(self, workspaces: Workspaces) -> None:
        """`workspaces` says what an operation takes of its operands while it runs, beside what it gives."""
        super().__init__(allow_non_fake_inputs=True)
        self.workspaces = workspaces
        self.events: list[Event] = []
        self.stage = ""
        self._counts = True
        self._within = False
        self._held: dict[int, weakref.ref[UntypedStorage]] = {}
        self._numbers: dict[int, int] = {}
        self._made = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """torch would import its compiler to keep it from what is done here; nobody compiles it."""
        return False

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if self._within or func.namespace == "prim":
            return super().__torch_dispatch__(func, types, args, kwargs)
        if is_made_of_others(func):
            with self:
                found = func.decompose(*args, **kwargs)
            if found is not NotImplemented:
                return found
        self._within = True  # shapes may be found by other operations, which no device runs
        try:
            found = _own(func, args)
            if found is None:
                found = super().__torch_dispatch__(func, types, args, kwargs)
        finally:
            self._within = False
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        size = self.workspaces(func, args, found)
        if size:
            self.takes(size)
        return found

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """What is made inside lies on another device."""
        self._counts = False
        try:
            yield
        finally:
            self._counts = True

    def sizes_of(self, tensors: Iterable[Tensor]) -> dict[int, int]:
        """Bytes of the counted storages that hold `tensors`, by number."""
        found = {}
        for tensor in tensors:
            storage = tensor.untyped_storage()
            number = self._numbers[storage._cdata]
            if number:
                found[number] = storage.nbytes()
        return found

    def takes(self, size: int) -> None:
        """What runs takes so many bytes while it runs, beside what it gives."""
        number = self._made = self._made + 1
        self.events += [Event(number, size, self.stage), Event(number, -size, self.stage)]

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._numbers:
            return
        if len(self.events) > MOST_EVENTS:
            raise EndlessError
        number = 0
        if self._counts:
            number = self._made = self._made + 1
            self.events.append(Event(number, size, self.stage))

        def gone(_: weakref.ref[UntypedStorage]) -> None:
            if number:
                self.events.append(Event(number, -size, self.stage))
            del self._numbers[key], self._held[key]

        self._numbers[key], self._held[key] = number, weakref.ref(storage, gone)


def peak_of(events: Sequence[Event], results: Collection[int]) -> Peak:
    """The peak of what came in `events`; what had come before counts for nothing. `results` are numbers of
    storages."""
    known = {event.storage for event in events if event.bytes > 0}
    events = [event for event in events if event.storage in known]
    live = [0, *accumulate(event.bytes for event in events)]
    at = live.index(max(live))
    alive: dict[int, Event] = {}
    for event in events[:at]:
        if event.bytes > 0:
            alive[event.storage] = event
        else:
            del alive[event.storage]
    by_stage: dict[str, int] = {}
    for event in alive.values():
        if event.storage in results:
            continue
        by_stage[event.stage] = by_stage.get(event.stage, 0) + event.bytes
    return Peak(live[at], events[at - 1].stage if at else "", by_stage)


def _own(func: OpOverload, args: Sequence[object]) -> Tensor | None:
    """What torch knows no shapes of, though the processor computes it: the product of each expert's rows in
    fp32. Rows are padded to 16 bytes (aten/src/ATen/native/GroupedMMUtils.h)."""
    if func is not torch.ops.aten._grouped_mm.default:
        return None
    rows, weights = args[:2]
    assert isinstance(rows, Tensor)
    assert isinstance(weights, Tensor)
    if rows.dtype != torch.float32 or rows.ndim != 2 or weights.ndim != 3:
        return None
    columns, aligned = weights.shape[-1], 16 // rows.element_size()
    padded = -(-columns // aligned) * aligned
    return rows.new_empty((rows.shape[0], padded))[:, :columns]
