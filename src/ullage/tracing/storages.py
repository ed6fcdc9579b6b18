"""Every storage that code on fake tensors makes, from its birth to its death."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import torch
from torch import Tensor, UntypedStorage
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._pytree import tree_leaves, tree_map_only

from ullage.runtime.live import is_made_of_others, made_of_others
from ullage.tracing.values import computed, fake_of, note_values, true_value

MOST_EVENTS: Final = 4_000_000
"""A pass through 100 layers has about 100,000: what goes on for so long has no end."""
MOST_SECONDS: Final = 600
"""A trace of a large model takes a few; of one whose every layer and step is traced a minute or two."""

Workspaces = Callable[[OpOverload, Sequence[object], object], int]


class EndlessError(Exception):
    """More storages came and went than any pass makes, or it took longer: which."""


class Event(NamedTuple):
    """Storage number `storage` of `bytes` comes (above 0) or goes, while `stage` lasts."""

    storage: int
    bytes: int
    stage: str


class Made(NamedTuple):
    """What a storage was made for: by `operation` in the module at path `module` ("" outside of all), as a
    tensor of `shape` and `dtype`. `component` is what its bytes are of: activations, workspace,
    kv_cache, logits, captures, gradients or optimizer."""

    module: str
    operation: str
    shape: tuple[int, ...]
    dtype: str
    component: str = "activations"


class Storages(FakeTensorMode):
    """While it is entered, tensors are fake, and each of their storages is told of in `events`.

    Invariant: the bytes of all events add up to those of the storages that are referenced, and `made` tells
    of each of them. `stage` is what the next ones are said to be of, `modules` are the paths of the modules
    that are running, the innermost last, and `broke` are the operation ("" for none) and the module that
    raised the first exception; `attends` says that attention runs. With `uncounted` nothing is told of, as of
    what lies elsewhere.
    """

    def __init__(self, workspaces: Workspaces) -> None:
        """`workspaces` says what an operation takes of its operands while it runs, beside what it gives."""
        super().__init__(allow_non_fake_inputs=True)
        self.workspaces = workspaces
        self.events: list[Event] = []
        self.made: dict[int, Made] = {}
        self.stage = ""
        self.modules: list[str] = []
        self.broke: tuple[str, str] | None = None
        self.attends = False
        self._begun = time.monotonic()
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
        self._bound()
        if is_made_of_others(func):
            with self:
                found = made_of_others(func, args, kwargs)
            if found is not NotImplemented:
                return found
        if func is torch.ops.aten._safe_softmax.default:  # one kernel by name alone
            with self:
                return _safe_softmax(*args, **kwargs)  # type: ignore[arg-type]
        self._within = True  # shapes may be found by other operations, which no device runs
        try:
            found = self._fake(func, types, args, kwargs)
        except Exception:
            if self.broke is None:
                self.broke = _named(func), self._module
            raise
        finally:
            self._within = False
        if not isinstance(found, Tensor | tuple | list):
            return found
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor):
                self._see(leaf, func)
        size = self.workspaces(func, args, found)
        if size:
            self.takes(size, func)
        return found

    def _fake(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> object:
        """What an operation gives, with true values where they are known. A number that is asked for between
        passes, as the token that was chosen, is 0. Raises UnknownError for one that a module asks for."""
        if self.attends and func is torch.ops.aten.add.Tensor and _takes_in_place(args):
            func = torch.ops.aten.add_.Tensor  # a mask, which torch adds out of place to subclasses alone
        own = _own(func, args)
        if own is not None:
            return own
        try:
            found = super().__torch_dispatch__(func, types, args, kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            if func is torch.ops.aten._local_scalar_dense.default and not self.modules:
                (asked,) = args
                assert isinstance(asked, Tensor)
                true = true_value(asked)
                return (0.0 if asked.is_floating_point() else 0) if true is None else true.item()
            return tree_map_only(Tensor, fake_of, computed(func, args, kwargs))
        note_values(func, args, kwargs, found)
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

    def takes(self, size: int, func: OpOverload) -> None:
        """What runs takes so many bytes while it runs, beside what it gives."""
        number = self._made = self._made + 1
        self.made[number] = Made(self._module, _named(func), (size,), "uint8", "workspace")
        self.events += [Event(number, size, self.stage), Event(number, -size, self.stage)]

    def broken_in(self, module: str) -> None:
        """An exception leaves the module at that path."""
        if self.broke is None:
            self.broke = "", module

    def say(self, tensors: Iterable[Tensor], component: str) -> None:
        """The bytes of `tensors` are of that component."""
        for number in self.sizes_of(tensors):
            self.made[number] = self.made[number]._replace(component=component)

    def _bound(self) -> None:
        """Raises EndlessError for what does not come to an end."""
        if len(self.events) > MOST_EVENTS:
            raise EndlessError(f"it has not come to an end after {MOST_EVENTS:,} storages")
        if time.monotonic() - self._begun > MOST_SECONDS:
            raise EndlessError(f"it has not come to an end after {MOST_SECONDS:,} seconds")

    @property
    def _module(self) -> str:
        return self.modules[-1] if self.modules else ""

    def _see(self, tensor: Tensor, func: OpOverload) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._numbers:
            return
        number = 0
        if self._counts and size:
            number = self._made = self._made + 1
            self.events.append(Event(number, size, self.stage))
            dtype = str(tensor.dtype).removeprefix("torch.")
            self.made[number] = Made(self._module, _named(func), tuple(tensor.shape), dtype)

        def gone(_: weakref.ref[UntypedStorage]) -> None:
            if number:
                self.events.append(Event(number, -size, self.stage))
            del self._numbers[key], self._held[key]

        self._numbers[key], self._held[key] = number, weakref.ref(storage, gone)


def _named(func: OpOverload) -> str:
    return f"{func.namespace}.{func._opname}"


def _safe_softmax(scores: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """As torch's one kernel does it by others (aten/src/ATen/native/SoftMax.cpp): rows that see nothing are
    0."""
    found = torch.softmax(scores, dim, dtype)
    barred = scores.isneginf()
    rows = barred.all(dim, keepdim=True)
    del barred
    return found.masked_fill_(rows, 0.0)


def _takes_in_place(args: Sequence[object]) -> bool:
    """Whether the sum of two tensors is like the first, which no graph holds."""
    first, second = args[:2]
    if not (isinstance(first, Tensor) and isinstance(second, Tensor)) or first.requires_grad:
        return False
    return torch.broadcast_shapes(first.shape, second.shape) == first.shape and first.dtype == second.dtype


def _own(func: OpOverload, args: Sequence[object]) -> Tensor | None:
    """What torch knows no shapes of, though devices compute it: the product of each expert's rows in fp32 and
    fp16, and that of its rows with their gradients. Rows are padded to 16 bytes
    (aten/src/ATen/native/GroupedMMUtils.h)."""
    if func is not torch.ops.aten._grouped_mm.default:
        return None
    rows, weights, ends = args[:3]
    assert isinstance(rows, Tensor)
    assert isinstance(weights, Tensor)
    if rows.dtype not in (torch.float32, torch.float16) or rows.ndim != 2 or not isinstance(ends, Tensor):
        return None
    columns, aligned = weights.shape[-1], 16 // rows.element_size()
    padded = -(-columns // aligned) * aligned
    experts = () if weights.ndim == 3 else (ends.numel(),)
    return rows.new_empty((*experts, rows.shape[0], padded))[..., :columns]
