"""Bytes of a file or a pipe, looked at before they are read, and unpacked where they are packed."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from typing import Final

from ullage.kinds.pii.input_forms import PACKINGS

ByteStream = io.BufferedIOBase
DAMAGE: Final = (EOFError, zlib.error, OSError)
"""What packed files raise that are damaged, or end too soon."""
FIRST: Final = 16
"""Bytes by which packings and other files are told."""
LOOK: Final = 2**16
"""Bytes of a first line that are looked at."""


class _Ahead(io.RawIOBase):
    """A stream that begins with bytes that were already read from it; it is left open."""

    def __init__(self, head: bytes, rest: ByteStream) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        view = memoryview(into)  # type: ignore[arg-type]
        if self._head:
            some, self._head = self._head[: len(view)], self._head[len(view) :]
        else:
            some = read_some(self._rest, len(view))
        view[: len(some)] = some
        return len(some)


class _Bzip2(io.RawIOBase):
    """What bzip2 streams one after another hold; anything else behind them is damage, and not passed over."""

    def __init__(self, file: ByteStream) -> None:
        self._file, self._packed = file, bz2.BZ2Decompressor()

    def readable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        view = memoryview(into)  # type: ignore[arg-type]
        while True:
            if self._packed.eof:
                rest = self._packed.unused_data or read_some(self._file, LOOK)
                if not rest:
                    return 0
                self._packed = bz2.BZ2Decompressor()
            else:
                rest = read_some(self._file, LOOK) if self._packed.needs_input else b""
                if not rest and self._packed.needs_input:
                    raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            some = self._packed.decompress(rest, len(view))
            if some:
                view[: len(some)] = some
                return len(some)


def read_some(file: ByteStream, most: int) -> bytes:
    """What a pipe has now, not all that could be asked of it; nothing at its end alone."""
    return file.read1(most)


def looked_at(file: ByteStream) -> tuple[bytes, ByteStream]:
    """The first bytes, and a stream of all of them."""
    head = file.read(FIRST)
    return head, io.BufferedReader(_Ahead(head, file))


def unpacked(head: bytes, file: ByteStream) -> ByteStream:
    """What a packed stream holds, by its first bytes; any other itself."""
    packing = next((name for magic, name in PACKINGS.items() if head.startswith(magic)), "")
    if packing == "gzip":
        return gzip.GzipFile(fileobj=file)
    if packing == "bzip2":
        return io.BufferedReader(_Bzip2(file))
    return file


def first_line(file: ByteStream) -> tuple[bytes, ByteStream]:
    """The first line that is not blank, or what is looked at of it, and a stream of everything."""
    head = line = b""
    while len(head) < LOOK and (line := file.readline(LOOK)):
        head += line
        if line.strip():
            break
    return line, io.BufferedReader(_Ahead(head, file))
