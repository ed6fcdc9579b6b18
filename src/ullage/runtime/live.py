"""Bytes of the tensors that are alive on the processor: what torch counts by itself on GPUs alone."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, UntypedStorage, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):
    """Counts storages of CPU tensors while it is entered (`with LiveTensors() as live:`).

    Invariant: `bytes` is the sum over tracked storages that are still referenced; `peak` is the largest
    value it had since the last `reset_peak`. Workspaces that a kernel allocates and frees inside one call
    are not seen. Tensors made earlier count once they are given to `track`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self.peak = 0
        self._held: dict[int, weakref.ref[UntypedStorage]] = {}
        self._in_files: dict[int, int] = {}

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

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if func._can_decompose():
            # An operation made of others: their results are tensors too.
            with self:
                found = func.decompose(*args, **kwargs)
            if found is not NotImplemented:
                return found
        out = func(*args, **kwargs)
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
