"""Weight files of which only the beginning is here: their true sizes stand beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ullage.errors import FormatError
from ullage.files import read_text

SIZES: Final = "headers-only.json"
"""Names of files and the bytes they have where they are whole; only Ullage's own folders hold it."""
LARGEST_HEADER: Final = 100_000_000
"""Bytes; the cap of the safetensors crate."""
LARGEST: Final = 2**20


def size_of(path: Path) -> int:
    """Bytes that a weight file has, or has where it is whole. Raises OSError, FormatError."""
    beside = path.with_name(SIZES)
    if not beside.is_file():
        return path.stat().st_size
    try:
        return int(json.loads(read_text(beside, LARGEST))[path.name])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{beside}: does not say how long {path.name} is; remove the folder") from error


def safetensors_header(where: str, size: int, read: Callable[[int, int], bytes], first: int) -> bytes:
    """The beginning of a safetensors file of `size` bytes: the header's length and the header.

    `read` gives bytes from a place on; `first` are asked for at once. Raises FormatError for a length that
    cannot be.
    """
    begun = read(0, min(first, size))
    if len(begun) < 8:
        raise FormatError(f"{where}: {size} bytes long, too short for a safetensors header")
    claimed = int.from_bytes(begun[:8], "little")
    if claimed > LARGEST_HEADER:
        raise FormatError(f"{where}: header claims {claimed} bytes; the format allows {LARGEST_HEADER}")
    if 8 + claimed > size:
        raise FormatError(
            f"{where}: header claims {claimed} bytes, but the file ends after {size}; "
            "the download may be incomplete"
        )
    end = 8 + claimed
    return begun[:end] if end <= len(begun) else begun + read(len(begun), end - len(begun))
