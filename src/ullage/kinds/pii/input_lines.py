"""JSON lines of any number, one at a time: what is no record is told apart and never ends the reading."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ullage.kinds.pii.byte_streams import ByteStream
from ullage.kinds.pii.field_names import shown

BLOCK: Final = 2**20


@dataclass(frozen=True, slots=True)
class Line:
    """Line `number` (from 1) or record `number`, where records are not lines: a JSON object, or the reason
    why it is none. The reason holds no text of it."""

    number: int
    record: dict[str, object] | None
    reason: str = ""


class Twice(ValueError):
    """An object that has a field twice: of one of them nothing would be read."""

    def __init__(self, name: str) -> None:
        super().__init__(f"has the field {shown([name])} twice")


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON, for `object_pairs_hook`. Raises Twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise Twice(next(name for name in found if names.count(name) > 1))
    return found


def json_lines(
    file: ByteStream, longest: int, after: int = 0, before: int = 0, most: int | None = None
) -> Iterator[Line]:
    """Every line after line `after` that is not blank. No more than `longest` bytes are ever held.

    The stream's first line has number `before` + 1; no more than `most` are read.
    """
    number = before
    while (most is None or number < before + most) and (raw := file.readline(longest + 1)):
        number += 1
        raw = raw.removeprefix(BOM_UTF8) if number == 1 else raw
        whole = raw.endswith(b"\n") or len(raw) <= longest
        if not whole:
            skip_line(file)
        if number > after and (not whole or raw.strip()):
            yield json_line(number, raw) if whole else Line(number, None, too_long(longest))


def count_lines(file: ByteStream) -> int:
    """How many lines a stream has."""
    count, last = 0, b"\n"
    while block := file.read(BLOCK):
        count, last = count + block.count(b"\n"), block[-1:]
    return count + (last != b"\n")


def too_long(longest: int) -> str:
    return f"longer than {longest:,} bytes (longest_line)"


def skip_line(file: ByteStream) -> None:
    """Reads to the end of a line without keeping it."""
    while (block := file.readline(BLOCK)) and not block.endswith(b"\n"):
        pass


def line_of(number: int, value: object) -> Line:
    """A record that is an object; or a text with an object beside it, as training data of spaCy is."""
    match value:
        case dict():
            return Line(number, value)
        case [str() as text, dict() as rest]:
            return Line(number, {"text": text, **rest})
        case Twice():
            return Line(number, None, str(value))
    return Line(number, None, "not a JSON object")


def json_line(number: int, raw: bytes) -> Line:
    """What one line holds."""
    if b"\0" in raw:
        return Line(number, None, "holds a NUL byte")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return Line(number, None, f"not UTF-8 at byte {error.start}")
    try:
        return line_of(number, json.loads(text, object_pairs_hook=once))
    except Twice as error:
        return Line(number, None, str(error))
    except RecursionError:
        return Line(number, None, "nested too deeply")
    except ValueError as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        cut = "" if raw.endswith(b"\n") else "; the input may end within it"
        return Line(number, None, f"not JSON{where}{cut}")
