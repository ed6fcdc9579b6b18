"""Reads the headers of safetensors files: names, dtypes, shapes and exact bytes, no tensor data.

Format: https://github.com/huggingface/safetensors#format. Everything it promises is checked, since a
header may come from a stranger.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ullage.errors import FormatError
from ullage.facts.checkpoint import Checkpoint, StoredTensor
from ullage.facts.headers_only import safetensors_header, size_of
from ullage.files import read_text

LARGEST_INDEX: Final = 64 * 2**20
_BITS: Final = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


def read_checkpoint(path: Path) -> Checkpoint:
    """The tensors of one .safetensors file or of a folder's (sharded) model.

    Raises FormatError naming file and tensor for whatever contradicts the format.
    """
    path = Path(path)
    if path.is_file():
        return Checkpoint("safetensors", str(path), tuple(_read_file(path)))
    index = path / "model.safetensors.index.json"
    if index.is_file():
        return Checkpoint("safetensors", str(path), _read_sharded(path, index))
    shards = sorted(path.glob("*.safetensors"))
    if not shards:
        raise FormatError(f"{path}: holds no .safetensors file")
    return Checkpoint("safetensors", str(path), _without_repeats(shards))


def _without_repeats(shards: Iterable[Path]) -> tuple[StoredTensor, ...]:
    found: dict[str, StoredTensor] = {}
    for shard in shards:
        for tensor in _read_file(shard):
            if tensor.name in found:
                raise FormatError(f"{shard}: tensor {tensor.name!r} stands in another file too")
            found[tensor.name] = tensor
    return tuple(found.values())


def _read_sharded(folder: Path, index: Path) -> tuple[StoredTensor, ...]:
    try:
        document = json.loads(read_text(index, LARGEST_INDEX))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{index}: not valid JSON: {error}") from error
    places = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
        raise FormatError(f"{index}: lacks weight_map, from tensor names to file names")
    tensors: list[StoredTensor] = []
    for shard in sorted(set(places.values())):
        if shard != Path(shard).name or shard in ("", ".", ".."):
            raise FormatError(f"{index}: shard {shard!r} lies outside the folder")
        if not (folder / shard).is_file():
            raise FormatError(f"{index}: shard {shard!r} is missing from {folder}")
        held = {tensor.name: tensor for tensor in _read_file(folder / shard)}
        for name in (name for name, place in places.items() if place == shard):
            if name not in held:
                raise FormatError(f"{index}: tensor {name!r} is not in {shard}")
            tensors.append(held[name])
    return tuple(tensors)


def _read_file(path: Path) -> list[StoredTensor]:
    try:
        size = size_of(path)
        with path.open("rb") as file:

            def read(begin: int, length: int) -> bytes:
                file.seek(begin)
                return file.read(length)

            begun = safetensors_header(str(path), size, read, 8)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error}") from error
    return tensors_of(str(path), begun, size)


def tensors_of(where: str, begun: bytes, size: int) -> list[StoredTensor]:
    """The tensors of a file of `size` bytes that begins with `begun`, its header. Raises FormatError."""
    return _tensors(where, _parse(where, begun[8:]), size - len(begun))


def _parse(path: str, text: bytes) -> dict[str, object]:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name stands twice")
        return found

    try:
        header = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: header is not valid JSON: {error}") from error
    if not isinstance(header, dict):
        raise FormatError(f"{path}: header is {type(header).__name__}, not an object")
    header.pop("__metadata__", None)
    return header


def _tensors(path: str, header: dict[str, object], room: int) -> list[StoredTensor]:
    found: list[tuple[int, int, StoredTensor]] = []
    for name, entry in header.items():
        where = f"{path}: tensor {name[:80]!r}"
        if not isinstance(entry, dict):
            raise FormatError(f"{where}: its entry is not an object")
        dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
        if dtype not in _BITS:
            raise FormatError(f"{where}: unknown dtype {str(dtype)[:20]!r}")
        if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2:  # type: ignore[arg-type]
            raise FormatError(f"{where}: shape or data_offsets are not whole numbers")
        begin, end = offsets  # type: ignore[misc]
        bits = math.prod(shape) * _BITS[dtype]  # type: ignore[arg-type]
        if bits % 8 or end - begin != bits // 8:
            raise FormatError(
                f"{where}: {end - begin} bytes, but {dtype} of shape {shape} takes {bits / 8:g}"
            )
        found.append((begin, end, StoredTensor(name, dtype, tuple(shape), end - begin)))  # type: ignore[arg-type]
    at = 0
    for begin, end, tensor in sorted(found, key=lambda item: item[:2]):
        if begin != at:
            problem = "overlaps the tensor before it" if begin < at else "leaves a hole before it"
            raise FormatError(f"{path}: tensor {tensor.name[:80]!r} {problem} (offset {begin})")
        at = end
    if at != room:
        raise FormatError(f"{path}: tensors end at byte {at}, the data at {room}")
    return [tensor for _, _, tensor in found]


def _sizes(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 64
        and all(type(item) is int and 0 <= item < 2**63 for item in value)
    )
