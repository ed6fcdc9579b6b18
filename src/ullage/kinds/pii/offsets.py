"""Offsets of a text: what they count, and which characters they mean."""

from __future__ import annotations

from typing import Final, Literal

Unit = Literal["characters", "utf16", "utf8"]
UNITS: Final[tuple[Unit, ...]] = ("characters", "utf16", "utf8")
"""Unicode characters (Python), UTF-16 units (JavaScript, Java, .NET), UTF-8 bytes (Go, Rust, C)."""


class NotARecord(Exception):
    """Why a JSON object is no record, without any of its text."""


class NotAPlace(NotARecord):
    """Offsets that lie outside the text, or within a character; in another unit they may not."""


class Places:
    """Turns offsets of a text into characters."""

    def __init__(self, text: str, unit: Unit) -> None:
        self.text = text
        self.unit: Unit = "characters" if text.isascii() else unit
        self._tables: dict[Unit, dict[int, int]] = {}

    def span(self, start: object, end: object, unit: Unit | None = None) -> tuple[int, int]:
        """[start, end) in characters; `unit` where the offsets say themselves what they count.

        Raises NotARecord for what are no numbers, NotAPlace for what is no span of the text.
        """
        first, last = _whole(start), _whole(end)
        if first is None or last is None:
            raise NotARecord("a candidate's start and end are not whole numbers")
        counted = self.unit if unit is None or self.text.isascii() else unit
        table = self._table(counted) if counted != "characters" else None
        length = len(self.text) if table is None else next(reversed(table))
        if not 0 <= first < last <= length:
            raise NotAPlace(f"a candidate's span [{first}, {last}) is not within the text's [0, {length})")
        if table is None:
            return first, last
        begin, stop = table.get(first), table.get(last)
        if begin is None or stop is None:
            what = "a surrogate pair" if counted == "utf16" else "a character"
            raise NotAPlace(f"a candidate's span [{first}, {last}) cuts {what} in two")
        return begin, stop

    def _table(self, unit: Unit) -> dict[int, int]:
        """By an offset in `unit` that in characters, in order."""
        if unit not in self._tables:
            at, table = 0, {0: 0}
            for index, character in enumerate(self.text, 1):
                at += _size(character, unit)
                table[at] = index
            self._tables[unit] = table
        return self._tables[unit]


def _size(character: str, unit: Unit) -> int:
    code = ord(character)
    if unit == "utf16":
        return 1 + (code > 0xFFFF)
    return 1 + (code > 0x7F) + (code > 0x7FF) + (code > 0xFFFF)


def _whole(value: object) -> int | None:
    """A whole number, also as tables and protocol buffers write it: "11", 11.0."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) < 16 and value.isascii():
        digits = value.strip().removesuffix(".0")
        return int(digits) if digits.isdigit() else None
    return None
