"""Which tensors of a model are, byte for byte, tensors of its checkpoint: they need not be loaded twice."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ullage.errors import FormatError, InputError
from ullage.facts.diffusers_index import read_pipeline
from ullage.runtime.role_weights import Cancelled
from ullage.runtime.source import is_pipeline

_NAMES: Final = ("model.safetensors", "diffusion_pytorch_model.safetensors")
"""What transformers and diffusers call a checkpoint of one file; one of several has an index called so, and
`.index.json`."""
_POPULATE_READ: Final = 22
"""MADV_POPULATE_READ of Linux 5.14 and later: has a range's pages in memory."""
Opened = dict[Path, safe_open]
"""Mapped files by their path."""
_PIECE: Final = 32 * 2**20
"""Bytes that are asked for between two questions whether to go on."""


@dataclass(frozen=True, slots=True)
class Source:
    """A tensor of a safetensors file."""

    file: Path
    key: str


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The safetensors files of one checkpoint, as they were when the model was first loaded.

    `keys` says where the tensor of a name is, `shorter` that name without its first part, `stamps` each
    file's number, size and time of change.
    """

    keys: Mapping[str, Source]
    shorter: Mapping[str, str]
    stamps: Mapping[Path, tuple[int, int, int]]

    def changed(self) -> bool:
        """Whether one of the files is no longer what it was."""
        return any(_stamp(file) != stamp for file, stamp in self.stamps.items())

    def overwritten(self) -> bool:
        """Whether one of the files was written into: what is mapped of it is not what it was. One that is
        gone, or another in its place, leaves what is mapped alone."""
        found = ((_stamp(file), stamp) for file, stamp in self.stamps.items())
        return any(now[0] == then[0] and now != then for now, then in found)

    def find(self, names: Iterable[str], tensor: Tensor, opened: Opened) -> Source | None:
        """Which tensor of the files is `tensor`, in its dtype; None where none is, bit for bit."""
        for name in names:
            # A model's class, or its base, may have stored it.
            for key in (name, name.partition(".")[2], self.shorter.get(name, "")):
                if key not in self.keys:
                    continue
                source = self.keys[key]
                stored = read(source, opened)
                if stored.shape == tensor.shape and _same(stored.to(tensor.dtype), tensor):
                    return source
        return None


def weight_files(folder: Path) -> WeightFiles | None:
    """Those of a checkpoint in `folder`, of a pipeline those of each network, named by it first; None where
    it has no safetensors file, or one that is not read."""
    try:
        if is_pipeline(folder):
            names = [each.name for each in read_pipeline(folder).components]
            parts = [(f"{name}.", _files(folder / name)) for name in names]
        else:
            parts = [("", _files(folder))]
        keys: dict[str, Source] = {}
        for prefix, files in parts:
            if not files:
                return None
            for file in sorted(files):
                with safe_open(file, framework="pt") as reader:
                    names = list(reader.keys())
                keys.update({prefix + key: Source(file, key) for key in names})
        shorter = {key.partition(".")[2]: key for key in keys}
        return WeightFiles(keys, shorter, {each.file: _stamp(each.file) for each in keys.values()})
    except (OSError, ValueError, KeyError, InputError, SafetensorError):
        return None


def _files(folder: Path) -> set[Path]:
    """The safetensors files of one network's checkpoint; none where there are none."""
    for name in _NAMES:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return {folder / name}
        if index.is_file():
            return {folder / each for each in json.loads(index.read_text())["weight_map"].values()}
    return set()


def read(source: Source, opened: Opened) -> Tensor:
    """The tensor as it is stored, in a mapped file: nothing is copied, nor read before it is looked at.

    `opened` holds the files that were opened before. Raises FormatError where it is not there any more.
    """
    try:
        if source.file not in opened:
            opened[source.file] = safe_open(source.file, framework="pt")
        found: Tensor = opened[source.file].get_tensor(source.key)  # type: ignore[no-untyped-call]
        return found
    except (OSError, SafetensorError) as error:
        raise FormatError(
            f"{source.file}: changed since it was first loaded: {error}; load the model again"
        ) from error


def touch(tensors: Iterable[Tensor], cancelled: Callable[[], bool]) -> None:
    """Has every page of host tensors in memory, neighbours at once. Raises Cancelled."""
    spans = sorted((each.data_ptr(), each.data_ptr() + each.nbytes) for each in tensors if each.nbytes)
    joined: list[tuple[int, int]] = []
    page = 4096
    for begin, end in spans:
        begin -= begin % page
        if joined and begin <= joined[-1][1] + page:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    for begin, end in joined:
        for at in range(begin, end, _PIECE):
            if cancelled():
                raise Cancelled
            if not _populate(at, min(end - at, _PIECE)):
                return  # the pass itself reads them


def _populate(address: int, size: int) -> bool:
    madvise = _madvise()
    return madvise is not None and madvise(address, size, _POPULATE_READ) == 0


@cache
def _madvise() -> Callable[[int, int, int], int] | None:
    with suppress(OSError, AttributeError):
        found = ctypes.CDLL(None, use_errno=True).madvise
        found.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        found.restype = ctypes.c_int
        call: Callable[[int, int, int], int] = found
        return call
    return None


def _same(stored: Tensor, tensor: Tensor) -> bool:
    """Bit for bit, NaN and signed zeros too."""
    flat = [each.contiguous().view(-1).view(torch.uint8) for each in (stored, tensor.detach().cpu())]
    return torch.equal(*flat)


def _stamp(file: Path) -> tuple[int, int, int]:
    with suppress(OSError):
        found = file.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return 0, 0, 0
