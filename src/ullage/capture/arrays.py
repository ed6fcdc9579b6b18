"""The header of an .npy file, read without numpy: where its rows lie, and whether they can be there."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ullage.errors import FormatError

MAGIC: Final = b"\x93NUMPY\x01\x00"
NAMES: Final = {"<f8": "float64", "<f4": "float32", "<f2": "float16", "<i4": "int32", "<i8": "int64"}
"""numpy's names of dtypes, by how headers write them; those that states and tokens are stored in."""


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """Rows of an .npy file: `begin` is the first one's place in it, `row_bytes` what each takes."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * int(self.dtype.lstrip("<fi"))

    @property
    def name(self) -> str:
        """numpy's name of the dtype."""
        return NAMES[self.dtype]


def read_array_file(path: Path, *, growing: bool = False) -> ArrayFile:
    """Raises FormatError unless the header is, byte for byte, what numpy writes, and the file as long as
    that says; one that is `growing` may have room for more rows already."""
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC) + 2)
            length = int.from_bytes(head[len(MAGIC) :], "little")
            text = file.read(length)
    except FileNotFoundError as error:
        raise FormatError(f"{path}: is missing, though the journal says it was written") from error
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        said = ast.literal_eval(text.decode("latin1").strip())
        dtype, shape = said["descr"], said["shape"]
        found = ArrayFile(path, dtype, tuple(map(int, shape)), len(head) + length)
        size = found.begin + found.row_bytes * found.shape[0] if dtype in NAMES else -1
        written = _header(dtype, found.shape, len(head))
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, MemoryError, RecursionError):
        size, written = -1, b""
    more = path.stat().st_size - size
    if head[: len(MAGIC)] != MAGIC or text != written or size < 0 or more < 0 or (more and not growing):
        raise FormatError(f"{path}: was changed since it was written (its header, or its length)")
    return found


def _header(dtype: str, shape: tuple[int, ...], before: int) -> bytes:
    """As numpy writes it: padded to 64 bytes, and with room for the first number of the shape to grow."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    text += " " * (21 - len(str(shape[0])))
    return (text + " " * (-(before + len(text) + 1) % 64) + "\n").encode("latin1")
