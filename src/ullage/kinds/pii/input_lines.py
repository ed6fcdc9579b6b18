"""Lines of a file of any size, one at a time: what is no record is told apart and never ends the reading."""

from __future__ import annotations

import gzip
import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

from ullage.errors import InputError

BLOCK: Final = 2**20
DAMAGE: Final = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True)
class Line:
    """Line `number` (from 1): a JSON object, or the reason why it is none. The reason holds no text of it."""

    number: int
    record: dict[str, object] | None
    reason: str = ""


def read_input(path: Path, longest: int, after: int = 0) -> Iterator[Line]:
    """Every line after the first `after` that is not blank. No more than `longest` bytes are ever held.

    Raises InputError for a file that cannot be opened, or a .gz that is damaged.
    """
    number = 0
    with _opened(path) as file:
        try:
            while raw := file.readline(longest + 1):
                number += 1
                raw = raw.removeprefix(BOM_UTF8) if number == 1 else raw
                whole = raw.endswith(b"\n") or len(raw) <= longest
                if not whole:
                    _skip(file)
                if number > after and (not whole or raw.strip()):
                    yield (
                        _line(number, raw) if whole else Line(number, None, f"longer than {longest:,} bytes")
                    )
        except DAMAGE as error:
            raise InputError(f"{path}: is damaged after line {number:,}: {error}") from error


def count_lines(path: Path) -> int:
    """How many lines a file has.

    Raises InputError for one that cannot be opened, or a .gz that is damaged.
    """
    count, last = 0, b"\n"
    with _opened(path) as file:
        try:
            while block := file.read(BLOCK):
                count, last = count + block.count(b"\n"), block[-1:]
        except DAMAGE as error:
            raise InputError(f"{path}: is damaged after line {count:,}: {error}") from error
    return count + (last != b"\n")


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    try:
        return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _skip(file: gzip.GzipFile | BufferedReader) -> None:
    """Reads to the end of a line without keeping it."""
    while (block := file.readline(BLOCK)) and not block.endswith(b"\n"):
        pass


def _line(number: int, raw: bytes) -> Line:
    if b"\0" in raw:
        return Line(number, None, "holds a NUL byte")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return Line(number, None, f"not UTF-8 at byte {error.start}")
    try:
        record = json.loads(text)
    except RecursionError:
        return Line(number, None, "nested too deeply")
    except ValueError as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        return Line(number, None, f"not JSON{where}")
    if not isinstance(record, dict):
        return Line(number, None, "not a JSON object")
    return Line(number, record)
