"""Where records come from: a file of any form, packed or not, or a pipe, which can be read once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ullage.errors import InputError
from ullage.kinds.pii.byte_streams import DAMAGE, ByteStream, first_line, looked_at, unpacked
from ullage.kinds.pii.columns import count_parquet, csv_rows, parquet_rows
from ullage.kinds.pii.input_forms import PARQUET, Form, foreign, form_of, looks_like
from ullage.kinds.pii.input_lines import Line, count_lines, json_lines
from ullage.kinds.pii.json_values import Broken, json_values
from ullage.kinds.pii.pipes import STANDARD_INPUT, endless, read_once
from ullage.records.parts import Part


@dataclass(frozen=True, slots=True)
class Source:
    """A file's or a pipe's records.

    `name` is what it is called in messages, `longest` the bytes that one record may have; by `text_field` a
    table is told whose text is under no known name. Of a `part`, lines of it alone are read.
    """

    name: str
    path: Path
    longest: int
    text_field: str | None = None
    part: Part | None = None
    _begins: list[tuple[bytes, Form]] = field(default_factory=list)

    @property
    def once(self) -> bool:
        """Whether it can be read once alone."""
        return read_once(self.name, self.path)

    def lines(self, after: int = 0) -> Iterator[Line]:
        """The records after line `after`, with those that are none.

        A pipe that breaks off ends with a line that says so. Raises InputError for a file that cannot be
        opened, is damaged, or holds something else than records.
        """
        if self.part is not None:
            yield from self._lines_of(self.part)
            return
        number = after
        with self._opened() as (form, file):
            try:
                for line in self._read(form, file, after):
                    number = line.number
                    yield line
            except Broken as error:
                if not self.once:
                    raise InputError(f"{self.name}: {error}") from error
                yield Line(error.number, None, str(error))
            except DAMAGE as error:
                if not self.once:
                    raise InputError(f"{self.name}: is damaged after line {number:,}: {error}") from error
                yield Line(number + 1, None, f"the input breaks off here: {error}")

    def _lines_of(self, part: Part) -> Iterator[Line]:
        """Lines of a partition; one that is left out stands among them with the reason."""
        with self._file() as file:
            file.seek(part.begin)
            for line in json_lines(file, self.longest, before=part.line, most=part.lines):
                reason = part.rejected.get(line.number)
                yield line if reason is None else Line(line.number, None, reason)

    def check_plain(self) -> None:
        """Raises InputError unless each line of the file is a record."""
        if self.once:
            raise InputError(f"{self.name}: is a pipe, which is read once and not in partitions; name a file")
        with self._opened() as (form, _), self._file() as file:
            head, same = looked_at(file)
            if form != "lines" or unpacked(head, same) is not same:
                raise InputError(
                    f"{self.name}: only plain JSON lines are cut into partitions; convert it first"
                )

    def count(self) -> int | None:
        """How many lines or records it has; None of a pipe. Raises InputError as `lines` does."""
        if self.part is not None:
            return self.part.lines
        if self.once:
            return None
        with self._opened() as (form, file):
            if form == "parquet":
                return count_parquet(self.path)
            if form == "values":
                return sum(1 for _ in self.lines())
            try:
                return count_lines(file)
            except DAMAGE as error:
                raise InputError(f"{self.name}: is damaged: {error}") from error

    def looks_like(self) -> str:
        """What it looks like, once it has been read and was found to hold no record."""
        return looks_like(*self._begins[-1]) if self._begins else "Parquet"

    def _read(self, form: Form, file: ByteStream, after: int) -> Iterator[Line]:
        if form == "parquet":
            return parquet_rows(self.path, self.longest, after)
        read = {"lines": json_lines, "values": json_values, "table": csv_rows}[form]
        return read(file, self.longest, after)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Form, ByteStream]]:
        """The form, and the bytes, unpacked."""
        base = self._file()
        try:
            head, file = looked_at(base)
            other = foreign(head)
            if not other and head.startswith(PARQUET):
                if not self.once:
                    yield "parquet", file
                    return
                other = "Parquet, which is read from its end; name the file"
            if not other:
                inner = unpacked(head, file)
                packed = inner is not file
                file = inner
                try:
                    if packed:
                        head, file = looked_at(file)
                        other = (
                            "packed Parquet; unpack it first" if head.startswith(PARQUET) else foreign(head)
                        )
                    line, file = first_line(file)
                except DAMAGE as error:
                    raise InputError(f"{self.name}: is damaged after line 0: {error}") from error
            if other:
                raise InputError(f"{self.name}: holds no records; it looks like {other}")
            form = form_of(line, self.name, self.text_field)
            self._begins[:] = [(line, form)]
            yield form, file
        finally:
            if self.name != STANDARD_INPUT:
                base.close()

    def _file(self) -> ByteStream:
        if self.name == STANDARD_INPUT:
            if sys.stdin is None:
                raise InputError("standard input is closed; name a file")
            return cast(ByteStream, sys.stdin.buffer)
        try:
            if endless(self.path):
                raise InputError(f"{self.name}: is a device, and has no end; name a file or a pipe")
            return self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read: {error.strerror or error}") from error
