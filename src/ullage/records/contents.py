"""What a file holds, in a digest: whole, or of a sample of a file that is large."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Final

from ullage.facts.headers_only import LARGEST_HEADER
from ullage.records.atomic import sha256_of

WHOLE: Final = 64 * 2**20
"""Bytes up to which a file is read whole."""
BLOCKS: Final = 1024
BLOCK: Final = 64 * 2**10
"""Bytes; a sample is so many blocks of so many bytes, 64 MiB of each file, whatever it has."""


def digest(path: Path, *, strict: bool = False) -> tuple[str, str]:
    """How a file's digest was taken, `sha256` or `sampled`, and the digest in hexadecimal digits.

    Files up to 64 MiB, and all of them with `strict`, are read whole. Of a larger one the SHA-256 is of its
    length, of its safetensors header (names, dtypes, shapes and places of all tensors; a GGUF begins with
    the like, in the first block) and of 1024 blocks of 64 KiB, spaced evenly from its first byte to its
    last. So a change of its length, of any tensor's name or shape, or of any piece longer than 1/1023 of the
    file is found; one that leaves all of these alone is found by `strict` only.
    """
    size = path.stat().st_size
    if strict or size <= WHOLE:
        return "sha256", sha256_of(path)
    found = hashlib.sha256(struct.pack("<Q", size))
    with path.open("rb") as file:
        if path.suffix == ".safetensors":
            (length,) = struct.unpack("<Q", file.read(8))
            found.update(file.read(min(length, LARGEST_HEADER)))
        for number in range(BLOCKS):
            place = number * (size - BLOCK) // (BLOCKS - 1)
            found.update(os.pread(file.fileno(), BLOCK, place))
    return "sampled", found.hexdigest()
