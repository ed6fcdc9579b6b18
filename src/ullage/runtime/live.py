"""Bytes of the tensors that are alive on the processor: what torch counts by itself on GPUs alone."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import torch
from torch import Tensor, UntypedStorage, nn
from torch._C import _dispatch_has_kernel_for_dispatch_key
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

EVERY: Final = 64
"""Of passes that need not be counted, one in so many is all the same."""

ALIKE: Final = 0.8
"""Of a pass's length: one at least as long takes about as much."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A pass that was counted: its padded tokens, those of its longest sequence, and the bytes that came on
    top of what there was before, at most."""

    tokens: int
    longest: int
    bytes: int

    def holds(self, tokens: int, longest: int) -> bool:
        """Whether a pass of that shape takes no more, nor much less: every temporary is linear in its padded
        tokens, or quadratic in its length alone."""
        return tokens <= self.tokens and ALIKE * self.longest <= longest <= self.longest


class LiveTensors(TorchDispatchMode):
    """Counts storages of CPU tensors while it is entered (`with LiveTensors() as live:`).

    Invariant: `bytes` is the sum over tracked storages that are still referenced; `peak` is the largest
    value it had since the last `reset_peak`. Workspaces that a kernel allocates and frees inside one call
    are not seen. Tensors made earlier count once they are given to `track`.

    Counting an operation takes longer than a small model's operation: of the passes that are told of
    (`passing`) those are counted that can be the fullest, and one in EVERY of the others.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self.peak = 0
        self._held: dict[int, weakref.ref[UntypedStorage]] = {}
        self._in_files: dict[int, int] = {}
        self._counted: list[Counted] = []
        self._passes = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """torch would import its compiler to keep it from what is done here; nobody compiles it."""
        return False

    @property
    def mapped(self) -> int:
        """Bytes of tracked models' tensors that lie in a mapped file, as safetensors leaves them."""
        return sum(self._in_files.copy().values())

    def track(self, tensors: Iterable[Tensor]) -> int:
        """Counts tensors that exist already; the bytes they added."""
        before = self.bytes
        for tensor in tensors:
            self._see(tensor)
        return self.bytes - before

    def track_model(self, model: nn.Module) -> int:
        """Counts a model's parameters and buffers; the bytes they added."""
        tensors = [*model.parameters(), *model.buffers()]
        added = self.track(tensors)
        files = _mapped_files()
        for tensor in tensors:
            if tensor.device.type == "cpu":
                storage = tensor.untyped_storage()
                if any(begin <= storage.data_ptr() < end for begin, end in files):
                    self._in_files[storage._cdata] = storage.nbytes()
        return added

    def reset_peak(self) -> None:
        """From here on, `peak` is that of what follows."""
        self.peak = self.bytes

    @contextmanager
    def passing(self, sequences: int, longest: int, kept: list[Tensor]) -> Iterator[None]:
        """One pass over so many sequences, padded to `longest` tokens, that leaves `kept` (filled inside).

        A pass that takes no more than one counted before is not looked into: it has added as much as that
        one, and what it leaves is tracked.
        """
        before, most = self.bytes, self.peak
        shape = sequences * longest, longest
        known = [each for each in self._counted if each.holds(*shape)]
        self._passes += 1
        if known and self._passes % EVERY:
            with _disable_current_modes():
                yield
            self.track(kept)
            added = max(min(each.bytes for each in known), self.bytes - before)
            self.peak = max(most, before + added)
            return
        self.peak = before
        try:
            yield
            storages = {each.untyped_storage()._cdata: each.untyped_storage().nbytes() for each in kept}
            stays = max(self.bytes - before - sum(storages.values()), 0)  # made once, as tables of angles are
            self._count(Counted(*shape, self.peak - before - stays))
        finally:
            self.peak = max(most, self.peak)

    def _count(self, new: Counted) -> None:
        """Of passes that are alike, the largest in tokens and length stands for all."""
        alike = [each for each in self._counted if each.holds(new.tokens, new.longest)]
        fewer = [each for each in self._counted if new.holds(each.tokens, each.longest)]
        most = max(each.bytes for each in (new, *alike, *fewer))
        rest = [each for each in self._counted if each not in alike and each not in fewer]
        self._counted = [*rest, *(replace(each, bytes=most) for each in alike or [new])]

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if func is torch.ops.aten.dropout.default and not args[2]:
            return args[0]  # as torch does; its decomposition copies
        if is_made_of_others(func):
            # An operation made of others: their results are tensors too.
            with self:
                found = made_of_others(func, args, kwargs)
            if found is not NotImplemented:
                return found
        out = func(*args, **kwargs)
        if isinstance(out, Tensor):
            self._see(out)
            self.peak = max(self.peak, self.bytes + turned_bytes(func, args, out))
            return out
        for leaf in out if isinstance(out, tuple | list) else (out,):
            if isinstance(leaf, Tensor):
                self._see(leaf)
            elif isinstance(leaf, tuple | list):
                for inner in tree_leaves(leaf):
                    if isinstance(inner, Tensor):
                        self._see(inner)
        return out

    def _see(self, tensor: Tensor) -> None:
        if tensor.device.type != "cpu":
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._held:
            return
        size = storage.nbytes()
        self.bytes += size
        self.peak = max(self.peak, self.bytes)

        def gone(_: weakref.ref[UntypedStorage]) -> None:
            self.bytes -= size
            self._in_files.pop(key, None)
            self._held.pop(key, None)

        self._held[key] = weakref.ref(storage, gone)


@cache
def is_made_of_others(func: OpOverload) -> bool:
    """Whether the processor has no kernel of its own for an operation, and runs others for it."""
    if func.namespace == "prim":
        return False  # what fake tensors are asked for: no dispatcher knows of it
    return func._can_decompose() and not _dispatch_has_kernel_for_dispatch_key(func.name(), "CPU")


def made_of_others(func: OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """The operation by those it is made of as torch itself runs it: decompositions in Python, which compilers
    use, allocate what its kernels do not, as indices to enlarge a picture by."""
    name = func.name()
    if _dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd"):
        return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
    return func.decompose(*args, **kwargs)


_MIXING: Final = {getattr(torch.ops.aten, name).Tensor for name in ("add", "sub", "mul", "div")}
"""Operations that turn operands of another dtype into the result's first, each as a whole."""


def turned_bytes(func: OpOverload, operands: Iterable[object], out: Tensor) -> int:
    """What the processor holds of operands that it turns into another dtype, while `func` runs."""
    if func not in _MIXING:
        return 0
    turned = (
        each for each in operands if isinstance(each, Tensor) and each.dim() and each.dtype != out.dtype
    )
    return sum(each.numel() for each in turned) * out.element_size()


def _mapped_files() -> list[tuple[int, int]]:
    """Address ranges of this process that are mapped from files; none where the system does not tell."""
    found = []
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = line.split(maxsplit=5)
                if len(fields) == 6 and fields[5].startswith("/") and ".so" not in fields[5]:
                    begin, _, end = fields[0].partition("-")
                    found.append((int(begin, 16), int(end, 16)))
    except OSError:
        return []
    return found
