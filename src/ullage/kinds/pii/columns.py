"""Rows of tables, CSV and Parquet, as records: one a row, a column a field."""

from __future__ import annotations

import csv
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError, MissingExtraError
from ullage.kinds.pii.byte_streams import ByteStream
from ullage.kinds.pii.field_names import shown
from ullage.kinds.pii.input_forms import delimiter_of
from ullage.kinds.pii.input_lines import Line, skip_line, too_long

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

ROWS: Final = 256
"""Of a Parquet file that are held at once, beside the row group that they are in."""


def csv_rows(file: ByteStream, longest: int, after: int = 0) -> Iterator[Line]:
    """Rows that begin after line `after`; a row's number is that of its first line. An empty cell holds null.

    A row that is broken, is not UTF-8 or has a field longer than `longest` is told apart.
    """
    cut: list[int] = []
    ended: list[bool] = []
    lines = _text_lines(file, longest, cut)
    first = next(lines, "")
    rows = csv.reader(_and_end(chain((first,), lines), ended), delimiter=delimiter_of(first))
    names: list[str] | None = None
    while True:
        number = rows.line_num + 1
        reason = ""
        try:
            with _limit(longest):
                row = next(rows, None)
        except csv.Error as error:
            row, reason = [], f"a broken row of a table: {error}"
        if row is None:
            return
        if any(number <= one <= rows.line_num for one in cut):
            reason = too_long(longest)
        if ended:
            reason = reason or "a quote that opens in it is never closed; no row after it is read"
        if names is None:
            names = row
        elif number > after and (row or reason):
            yield Line(number, None, reason) if reason else _row(number, names, row)


def _row(number: int, names: list[str], row: list[str]) -> Line:
    if len(row) != len(names):
        return Line(number, None, f"has {len(row)} cells, and the table {len(names)} columns")
    if twice := _twice(names):
        return Line(number, None, twice)
    for cell in row:
        try:
            cell.encode()
        except UnicodeEncodeError:
            return Line(number, None, "not UTF-8")
        if "\0" in cell:
            return Line(number, None, "holds a NUL byte")
    return Line(number, {name: cell or None for name, cell in zip(names, row, strict=True)})


def _twice(names: Sequence[str]) -> str:
    """What is wrong with a table that has a column twice: of one of them nothing would be read."""
    if len(set(names)) == len(names):
        return ""
    twice = next(name for at, name in enumerate(names) if name in names[:at])
    return f"its table has the column {shown([twice])} twice"


def _and_end(lines: Iterator[str], ended: list[bool]) -> Iterator[str]:
    """The lines; `ended` holds something once another was asked for than there are: within a quote."""
    yield from lines
    ended.append(True)


def _text_lines(file: ByteStream, longest: int, cut: list[int]) -> Iterator[str]:
    """Lines as text; the numbers of those that were too long go into `cut`, and nothing else of them."""
    number = 0
    while raw := file.readline(longest + 1):
        number += 1
        raw = raw.removeprefix(BOM_UTF8) if number == 1 else raw
        if len(raw) > longest and not raw.endswith(b"\n"):
            skip_line(file)
            cut[:] = [*cut[-8:], number]
            yield "\n"
        else:
            yield raw.decode("utf-8", "surrogateescape")


@contextmanager
def _limit(longest: int) -> Iterator[None]:
    """The csv module has one limit for a whole process: it is as others left it between any two rows."""
    before = csv.field_size_limit(longest)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def parquet_rows(path: Path, longest: int, after: int = 0) -> Iterator[Line]:
    """Rows after the first `after`. Raises InputError for a file that is damaged."""
    number = 0
    with _parquet(path) as file:
        twice = _twice(file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=ROWS):
            if number + batch.num_rows > after:
                for at, row in enumerate(batch.to_pylist(), number + 1):
                    if at > after:
                        big = any(isinstance(one, str) and len(one) > longest for one in row.values())
                        reason = twice or (too_long(longest) if big else "")
                        yield Line(at, None, reason) if reason else Line(at, row)
            number += batch.num_rows


def count_parquet(path: Path) -> int:
    """How many rows a file has. Raises InputError for one that is damaged."""
    with _parquet(path) as file:
        return int(file.metadata.num_rows)


@contextmanager
def _parquet(path: Path) -> Iterator[ParquetFile]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("pyarrow", "run", "reading Parquet") from error
    try:
        with ParquetFile(path) as file:
            yield file
    except (ArrowException, OSError) as error:
        raise InputError(f"{path}: a damaged Parquet file: {error}") from error
