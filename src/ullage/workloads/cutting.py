"""Cuts an input into partitions: by its lines alone, so that the same file gives the same ones anywhere."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ullage.errors import InputError
from ullage.records.parts import Part
from ullage.spec.partition import Partition
from ullage.units import parse_bytes

PIECE: Final = 8 * 2**20
"""Bytes of a line that are held at a time; whoever looks at lines is shown those that are no longer."""
Look = Callable[[int, bytes], int | None]
"""Is shown the line of a record, with its number, and says how many items it holds; None: neither it nor what
comes after it is of the input."""


def cut(path: Path, partition: Partition, look: Look, name: str = "") -> Iterator[Part]:
    """The partitions of the lines of a file, one after another; nothing of them is held.

    One ends before the record with which it would exceed `partition`; blank lines are no records, and belong
    to what they follow. `look` is shown each record, b"" of one longer than PIECE, and may raise. Raises
    InputError for a file that cannot be read, or holds no records, by its `name`.
    """
    most = parse_bytes(partition.bytes)
    part, items = Part(0, 0, 0, 0, 0, 0, 0), 0
    for size, blank, line in _lines(path):
        told = 0 if blank else look(part.line + part.lines + 1, line)
        if told is None:
            break
        full = part.records == partition.most or part.end + size - part.begin > most
        if not blank and part.records and full:
            yield part
            line_before = part.line + part.lines
            part = Part(part.number + 1, part.end, part.end, line_before, part.item + items, 0, 0)
            items = 0
        items += told
        part = Part(
            part.number,
            part.begin,
            part.end + size,
            part.line,
            part.item,
            part.lines + 1,
            part.records + (not blank),
        )
    if not part.records and not part.number:
        raise InputError(f"{name or path}: holds no records")
    yield part


def _lines(path: Path) -> Iterator[tuple[int, bool, bytes]]:
    """Of each line its bytes, whether it is blank, and itself, b"" where it is longer than PIECE."""
    try:
        mark = BOM_UTF8  # at the very beginning it says how the file is written, and is no text of it
        with path.open("rb") as file:
            while piece := file.readline(PIECE):
                size, blank, whole = len(piece), not piece.removeprefix(mark).strip(), piece
                mark = b""
                while not piece.endswith(b"\n") and (piece := file.readline(PIECE)):
                    size, blank, whole = size + len(piece), blank and not piece.strip(), b""
                yield size, blank, whole
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
