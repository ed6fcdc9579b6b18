"""Records with their candidates, from the shapes that detectors write."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ullage.errors import InputError
from ullage.kinds.pii.section import RecordFields
from ullage.kinds.pii.types import UNKNOWN, DataType, DataTypes

IDS: Final = ("id", "recordId", "record_id")
TEXTS: Final = ("text", "input", "content", "source_text", "context", "sentence")
"""Looked for in a record, then in its `metadata`, where one older shape has it."""
CANDIDATES: Final = ("candidates", "entities", "PIIs", "privacy_mask", "spans")
TYPES: Final = ("type", "entity_type", "entityType", "label", "entity_group", "entity")
VALUES: Final = ("value", "entityValue", "text", "word")
BEGINS: Final = ("start", "begin", "start_offset")
ENDS: Final = ("end", "end_offset")
CJK: Final = "\u2e80"
"""From here on scripts write without blanks."""
GOLDS: Final = ("gold", "personal", "is_pii", "correct")


def places_of(text: str, part: str) -> list[tuple[int, int]]:
    """Where `part` stands in `text`, but not inside another word or number."""
    return [place for place in _anywhere(text, part) if _apart(text, *place)]


def _anywhere(text: str, part: str) -> list[tuple[int, int]]:
    # A lookahead finds places that overlap.
    starts = (found.start() for found in re.finditer(f"(?={re.escape(part)})", text)) if part else ()
    return [(start, start + len(part)) for start in starts]


def _apart(text: str, start: int, end: int) -> bool:
    """Whether neither side of a span goes on the word or the number that the span begins or ends with."""
    before = start > 0 and _joined(text[start - 1], text[start])
    return not before and not (end < len(text) and _joined(text[end - 1], text[end]))


def _joined(one: str, other: str) -> bool:
    if one.isdigit() and other.isdigit():
        return True
    # Chinese, Japanese and Korean letters stand beside one another without making one word.
    return one.isalpha() and other.isalpha() and max(one, other) < CJK


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span [start, end) of a record's text, in characters, that may be personal data of `type`.

    What cannot be verified has a `reason`; `start` and `end` are None where there is no span, and where there
    is none yet (`bare`). `gold` is what somebody labelled it. Of a candidate `by_value` the span is the first
    place of the value.
    """

    type: DataType
    start: int | None
    end: int | None
    gold: bool | None = None
    reason: str = ""
    by_value: bool = False

    @property
    def bare(self) -> bool:
        """Whether it is a type alone, whose spans are still to be found."""
        return self.start is None and not self.reason

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where its value stands in `text`: its span, or everywhere if it was given by value."""
        if self.start is None or self.end is None:
            return []
        span = (self.start, self.end)
        return (places_of(text, text[self.start : self.end]) if self.by_value else []) or [span]


@dataclass(frozen=True, slots=True)
class Record:
    """A line's text and its candidates, in the order they were given; `id` is None where it has none."""

    line: int
    id: str | int | None
    text: str
    candidates: tuple[Candidate, ...]


class NotARecord(Exception):
    """Why a JSON object is no record, without any of its text."""


@dataclass(frozen=True, slots=True)
class RecordReader:
    """Reads objects of one file: `fields` where given, else any of the names that known tools use."""

    types: DataTypes
    fields: RecordFields
    offsets: Literal["characters", "utf16"] = "characters"

    def read(self, line: int, record: Mapping[str, object]) -> Record:
        """Raises NotARecord for what is missing, of a wrong type, or out of range."""
        fields = self.fields
        text = _text(_pick(_with_text(record, fields.text), fields.text, TEXTS, "it"), "text")
        name = _pick(record, fields.id, IDS)
        if isinstance(name, str):
            name = _text(name, "id")
        elif name is not None and type(name) is not int:
            raise NotARecord("its id is neither text nor a whole number")
        given = _pick(record, fields.candidates, CANDIDATES)
        if given is None and (_has(record, fields.type, TYPES) and _has(record, fields.value, VALUES[:2])):
            given = [record]  # one candidate a record, beside its text
        if given is None:
            return Record(line, name, text, ())
        if not isinstance(given, list):
            raise NotARecord("its candidates are not a list")
        place = _Places(text, self.offsets)
        return Record(line, name, text, tuple(self._candidate(one, place) for one in given))

    def _type(self, name: str) -> tuple[DataType, str]:
        """A type by its name; UNKNOWN, and what is wrong, of a name that no type has.

        The name itself is not repeated: a detector may put anything there, a person's name too.
        """
        try:
            return self.types.find(name), ""
        except InputError:
            return UNKNOWN, "its type is not among the known ones; add it to a file of types"

    def _candidate(self, given: object, place: _Places) -> Candidate:
        if isinstance(given, str):
            kind, reason = self._type(given)
            return Candidate(kind, None, None, reason=reason)
        if not isinstance(given, Mapping):
            raise NotARecord("a candidate is neither a type's name nor an object")
        fields = self.fields
        name = _pick(given, fields.type, TYPES, "a candidate")
        if not isinstance(name, str):
            raise NotARecord("a candidate's type is not text")
        kind, reason = self._type(name)
        gold = _pick(given, fields.gold, GOLDS)
        if gold is not None and not isinstance(gold, bool):
            raise NotARecord("a candidate's gold label is neither true nor false")
        start = _pick(given, fields.start, BEGINS)
        end = _pick(given, fields.end, ENDS)
        if start is not None or end is not None:
            begin, stop = place.span(start, end)
            said = _pick(given, fields.value, VALUES)
            if isinstance(said, str) and _plain(said) != _plain(place.text[begin:stop]):
                reason = reason or "its value is not what its span holds; see pii.offsets"
            return Candidate(kind, begin, stop, gold, reason)
        value = _text(_pick(given, fields.value, VALUES, "a candidate"), "candidate's value")
        places = places_of(place.text, value) or _anywhere(place.text, value)
        if not places:
            return Candidate(kind, None, None, gold, reason or "its value is not in the text")
        return Candidate(kind, *places[0], gold, reason, by_value=True)


class _Places:
    """Turns offsets of a text into characters."""

    def __init__(self, text: str, unit: str) -> None:
        self.text = text
        self._of_unit: Callable[[int], int | None]
        if unit == "utf16" and not text.isascii():
            units, characters = 0, {0: 0}
            for index, character in enumerate(text, 1):
                units += 1 + (ord(character) > 0xFFFF)
                characters[units] = index
            self._of_unit = characters.get
            self._length = units
        else:
            self._of_unit = lambda at: at
            self._length = len(text)

    def span(self, start: object, end: object) -> tuple[int, int]:
        if type(start) is not int or type(end) is not int:
            raise NotARecord("a candidate's start and end are not whole numbers")
        if not 0 <= start < end <= self._length:
            raise NotARecord(
                f"a candidate's span [{start}, {end}) is not within the text's [0, {self._length})"
            )
        begin, stop = self._of_unit(start), self._of_unit(end)
        if begin is None or stop is None:
            raise NotARecord(f"a candidate's span [{start}, {end}) cuts a surrogate pair in two")
        return begin, stop


def _pick(record: Mapping[str, object], own: str | None, known: Sequence[str], who: str = "") -> object:
    """The field's value, None where there is none. Raises NotARecord where `who` must have it."""
    names = (own,) if own is not None else known
    for name in names:
        if name in record:
            return record[name]
    if who:
        raise NotARecord(f"{who} has none of the fields {', '.join(names)}")
    return None


def _plain(text: str) -> str:
    """What is left of a value by tools that put blanks between its tokens, or write it small."""
    return "".join(text.casefold().split())


def _with_text(record: Mapping[str, object], own: str | None) -> Mapping[str, object]:
    """The record, or its metadata where only they have a text."""
    inner = record.get("metadata")
    if own is not None or _has(record, None, TEXTS):
        return record
    if isinstance(inner, Mapping):
        return inner
    return {"text": inner} if isinstance(inner, str) else record


def _has(record: Mapping[str, object], own: str | None, known: Sequence[str]) -> bool:
    return own in record if own is not None else any(name in record for name in known)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise NotARecord(f"its {what} is not text, or empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise NotARecord(f"its {what} holds half a surrogate pair at character {error.start}") from error
    return value
