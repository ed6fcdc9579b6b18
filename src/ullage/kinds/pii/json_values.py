"""JSON values of a stream, one at a time: the elements of an array, or values one after another."""

from __future__ import annotations

import codecs
import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Final

from ullage.kinds.pii.byte_streams import ByteStream, read_some
from ullage.kinds.pii.input_lines import Line, Twice, line_of, once

BLOCK: Final = 2**18
"""Bytes read at once; more at a time of a value that does not end within them."""
BETWEEN: Final = " \t\r\n,"


class Broken(Exception):
    """Where an array is no JSON: what follows cannot be told apart."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"record {number:,} {why}; nothing after it can be read")
        self.number = number


def json_values(file: ByteStream, longest: int, after: int = 0) -> Iterator[Line]:
    """Every value after the first `after`; `longest` is how many bytes one may have, no more is ever held.

    Raises Broken where the stream is no JSON, or ends within a value or an array.
    """
    text = _Text(file, longest)
    number = 0
    array = text.skip(" \t\r\n") == "["
    if array:
        text.at += 1
    while True:
        mark = text.skip(BETWEEN)
        if array and mark == "]":
            text.at += 1
            if text.skip(" \t\r\n"):
                raise Broken(number + 1, "stands after the end of the array")
            return
        if not mark:
            if array:
                raise Broken(number + 1, "is missing: the array is cut short")
            return
        number += 1
        value = text.value(number)
        if number > after:
            yield line_of(number, value)


class _Text:
    """What has been read and not yet taken. Invariant: `at` is where the next character stands."""

    def __init__(self, file: ByteStream, longest: int) -> None:
        self._file, self._longest = file, longest
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._scan = json.JSONDecoder(object_pairs_hook=once).raw_decode
        self._pass = json.JSONDecoder().raw_decode
        self._held, self.at, self._ended = "", 0, False
        self._read(BLOCK)
        self._held = self._held.removeprefix(BOM_UTF8.decode())

    def skip(self, blank: str) -> str:
        """The next character that is not blank; none at the end."""
        while True:
            while self.at < len(self._held) and self._held[self.at] in blank:
                self.at += 1
            if self.at < len(self._held):
                return self._held[self.at]
            if not self._read(BLOCK):
                return ""

    def value(self, number: int) -> object:
        """The value that begins here; Twice for one that has a field twice."""
        block = BLOCK
        while True:
            try:
                value, end = self._scanned()
            except RecursionError as error:
                raise Broken(number, "is nested too deeply") from error
            except json.JSONDecodeError as error:
                where = f"is no JSON at its character {error.pos - self.at:,}"
                if len(self._held) - self.at > self._longest:
                    raise Broken(number, f"{where}, or longer than {self._longest:,} bytes") from error
                if not self._read(block):
                    raise Broken(number, where) from error
            else:
                length = end - self.at
                if end < len(self._held) or not self._read(block):  # a number may go on
                    self.at += length
                    return value
            block *= 2

    def _scanned(self) -> tuple[object, int]:
        try:
            return self._scan(self._held, self.at)
        except Twice as error:
            return error, self._pass(self._held, self.at)[1]

    def _read(self, size: int) -> bool:
        """Whether there was more."""
        if self._ended:
            return False
        self._held, self.at = self._held[self.at :], 0
        data = read_some(self._file, size)
        self._ended = not data
        self._held += self._decoder.decode(data, final=self._ended)
        return bool(data)
