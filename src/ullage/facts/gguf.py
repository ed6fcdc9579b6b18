"""Reads a GGUF header: metadata and tensor sizes, no tensor data.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little endian.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from ullage.errors import FormatError, UnsupportedError
from ullage.facts.architecture import Architecture
from ullage.facts.checkpoint import Checkpoint, StoredTensor
from ullage.facts.headers_only import size_of

LARGEST_COUNT: Final = 1_000_000
MOST_VALUES: Final = 4_000_000
"""Of all metadata; the largest vocabularies have some 260,000 texts, and as many merges."""
LARGEST_STRING: Final = 16 * 2**20
LARGEST_NAME: Final = 4096
GGML_TYPES: Final = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}
"""Name, elements and bytes of a block by ggml type number (ggml.h, ggml-common.h)."""
_SCALARS: Final = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_STRING, _ARRAY = 8, 9


class _Reader:
    """Reads from a file, never past its end and never more than what stands there."""

    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        self._file, self._path, self._size = file, path, size
        self._values = 0

    def count(self, values: int, what: str) -> None:
        """Counts values that are read one by one."""
        self._values += values
        if self._values > MOST_VALUES:
            raise self.wrong(f"{what} makes more than {MOST_VALUES:,} values of metadata")

    def take(self, count: int, what: str) -> bytes:
        left = self._size - self._file.tell()
        if count > left:
            raise self.wrong(f"{what} claims {count} bytes, but {left} are left in the file")
        return self._file.read(count)

    def skip(self, count: int, what: str) -> None:
        left = self._size - self._file.tell()
        if count > left:
            raise self.wrong(f"{what} claims {count} bytes, but {left} are left in the file")
        self._file.seek(count, 1)

    def number(self, code: str, what: str) -> int:
        value: int = struct.unpack("<" + code, self.take(struct.calcsize(code), what))[0]
        return value

    def text(self, what: str, largest: int) -> str:
        length = self.number("Q", what)
        if length > largest:
            raise self.wrong(f"{what} claims a length of {length}")
        return self.take(length, what).decode("utf-8", "replace")

    def wrong(self, problem: str) -> FormatError:
        return FormatError(f"{self._path}: {problem}; the file is truncated or not a GGUF file")


def read_gguf(path: Path) -> Architecture:
    """The model in a GGUF file, its split parts included.

    Raises FormatError for a broken or lying header, UnsupportedError for an architecture without a
    reader. Time and memory are bounded by the file's real size.
    """
    from ullage.facts.config import read_config

    path = Path(path)
    metadata, tensors = _read(path)
    for part in _other_parts(path):
        tensors += _read(part)[1]
    config = _config(path, metadata, tensors)
    architecture = read_config(config, path.stem, str(path))
    checkpoint = Checkpoint("gguf", str(path), tuple(tensors))
    return replace(architecture, checkpoint=checkpoint)


def has_tokenizer(path: Path) -> bool:
    """Whether a GGUF file brings a tokenizer. Raises FormatError as `read_gguf`."""
    return any(key.startswith("tokenizer.") for key in _read(path)[0])


def other_parts(name: str) -> list[str]:
    """The names of the other parts of a split file, in whose names each says which of how many it is."""
    match = re.fullmatch(r"(.*)-(\d{5})-of-(\d{5})\.gguf", PurePosixPath(name).name)
    if match is None:
        return []
    parts = [
        f"{match[1]}-{number:05}-of-{match[3]}.gguf" for number in range(1, min(int(match[3]), 1000) + 1)
    ]
    return [part for part in parts if part != PurePosixPath(name).name]


def _other_parts(path: Path) -> list[Path]:
    parts = [path.with_name(name) for name in other_parts(path.name)]
    for part in parts:
        if not part.is_file():
            raise FormatError(f"{path}: its part {part.name} is missing")
    return parts


def _read(path: Path) -> tuple[dict[str, object], list[StoredTensor]]:
    try:
        with path.open("rb") as file:
            return read_header(file, path, size_of(path))
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error}") from error


def read_header(file: BinaryIO, path: Path, size: int) -> tuple[dict[str, object], list[StoredTensor]]:
    """Metadata and tensors at the beginning of a GGUF file of `size` bytes, read as far as the header goes.

    Raises FormatError, and OSError as `file` does.
    """
    return _header(_Reader(file, path, size), path)


def _header(reader: _Reader, path: Path) -> tuple[dict[str, object], list[StoredTensor]]:
    if reader.take(4, "the magic number") != b"GGUF":
        raise FormatError(f"{path}: does not begin with GGUF")
    version = reader.number("I", "the version")
    if version not in (2, 3):
        swapped = "; it seems to be big-endian" if version > 2**16 else ""
        raise FormatError(f"{path}: GGUF version {version} is not read, only 2 and 3{swapped}")
    tensors, pairs = reader.number("Q", "tensor_count"), reader.number("Q", "metadata_kv_count")
    for name, count in (("tensor_count", tensors), ("metadata_kv_count", pairs)):
        if count > LARGEST_COUNT:
            raise reader.wrong(f"{name} is {count}")
    metadata: dict[str, object] = {}
    for _ in range(pairs):
        key = reader.text("a metadata key", LARGEST_NAME)
        metadata[key] = _value(reader, reader.number("I", key), key)
    found = [_tensor(reader) for _ in range(tensors)]
    return metadata, found


def _value(reader: _Reader, kind: int, key: str, depth: int = 0) -> object:
    """A metadata value; an array becomes its length in a tuple."""
    if kind in _SCALARS:
        return reader.number(_SCALARS[kind], key)
    if kind == _STRING:
        return reader.text(key, LARGEST_STRING)
    if kind != _ARRAY or depth > 4:
        raise reader.wrong(f"{key} has value type {kind}")
    inner, count = reader.number("I", key), reader.number("Q", key)
    if inner in _SCALARS:
        reader.skip(count * struct.calcsize(_SCALARS[inner]), key)
        return (count,)
    reader.count(count, key)
    for _ in range(count):
        if inner == _STRING:
            reader.skip(reader.number("Q", key), key)
        else:
            _value(reader, inner, key, depth + 1)
    return (count,)


def _tensor(reader: _Reader) -> StoredTensor:
    name = reader.text("a tensor name", LARGEST_NAME)
    axes = reader.number("I", name)
    if axes > 8:
        raise reader.wrong(f"tensor {name!r} has {axes} axes")
    shape = tuple(reader.number("Q", name) for _ in range(axes))
    kind = reader.number("I", name)
    reader.number("Q", name)
    if kind not in GGML_TYPES:
        raise reader.wrong(f"tensor {name!r} has ggml type {kind}")
    label, elements, size = GGML_TYPES[kind]
    count = math.prod(shape)
    if count >= 2**63 or (shape and shape[0] % elements):
        raise reader.wrong(f"tensor {name!r} has shape {shape} for {label}")
    return StoredTensor(name, label, shape[::-1], count // elements * size)


_RENAMED: Final = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "context_length": "max_position_embeddings",
    "expert_count": "num_local_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
}
_TYPES: Final = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "phi3": "phi3",
    "starcoder2": "starcoder2",
    "command-r": "cohere",
    "olmo2": "olmo2",
    "granite": "granite",
    "gpt-oss": "gpt_oss",
}


def _config(path: Path, metadata: Mapping[str, object], tensors: list[StoredTensor]) -> dict[str, object]:
    """The same facts under the names of a config.json."""
    kind = metadata.get("general.architecture")
    if kind not in _TYPES:
        raise UnsupportedError(
            f"{path}: GGUF architecture {kind!r} has no reader; known: {', '.join(_TYPES)}"
        )
    config: dict[str, object] = {"model_type": _TYPES[str(kind)], "dtype": "float16"}
    for key, name in _RENAMED.items():
        value = metadata.get(f"{kind}.{key}")
        if isinstance(value, tuple):
            raise UnsupportedError(
                f"{path}: {kind}.{key} differs from layer to layer, which is not interpreted"
            )
        if value is not None:
            config[name] = value
    if kind == "llama" and config.get("num_local_experts"):
        config["model_type"] = "mixtral"
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    embedding = shapes.get("token_embd.weight")
    if embedding is None or len(embedding) != 2:
        raise FormatError(f"{path}: lacks the tensor token_embd.weight")
    config["vocab_size"] = embedding[0]
    config["tie_word_embeddings"] = "output.weight" not in shapes
    config["attention_bias"] = "blk.0.attn_q.bias" in shapes
    return config
