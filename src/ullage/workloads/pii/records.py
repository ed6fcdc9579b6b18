"""Records with their candidates, from the shapes that detectors write."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ullage.errors import InputError
from ullage.workloads.pii.section import RecordFields
from ullage.workloads.pii.types import DataType, DataTypes, unknown

IDS: Final = ("id", "recordId", "record_id")
TEXTS: Final = ("text", "input", "content", "source_text", "context", "sentence")
"""Looked for in a record, then in its `metadata`, where one older shape has it."""
CANDIDATES: Final = ("candidates", "entities", "PIIs", "privacy_mask", "spans")
TYPES: Final = ("type", "entity_type", "entityType", "label")
VALUES: Final = ("value", "entityValue", "text", "word")
BEGINS: Final = ("start", "begin", "start_offset")
ENDS: Final = ("end", "end_offset")
GOLDS: Final = ("gold", "personal", "is_pii", "correct")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span [start, end) of a record's text, in characters, that may be personal data of `type`.

    A span that is not in the text (`start` None) cannot be verified; `reason` says why. `gold` is what
    somebody labelled it. Of a candidate `by_value` the span is the first place of the value.
    """

    type: DataType
    start: int | None
    end: int | None
    gold: bool | None = None
    reason: str = ""
    by_value: bool = False

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where its value stands in `text`: its span, or everywhere if it was given by value."""
        if self.start is None or self.end is None:
            return []
        if not self.by_value:
            return [(self.start, self.end)]
        value = re.escape(text[self.start : self.end])
        return [found.span() for found in re.finditer(value, text)]


@dataclass(frozen=True, slots=True)
class Record:
    """A line's text and its candidates, in the order they were given."""

    line: int
    id: str
    text: str
    candidates: tuple[Candidate, ...]
    bare_types: tuple[DataType, ...] = ()


class NotARecord(Exception):
    """Why a JSON object is no record, without any of its text."""


@dataclass(frozen=True, slots=True)
class RecordReader:
    """Reads objects of one file: `fields` where given, else any of the names that known tools use."""

    types: DataTypes
    fields: RecordFields
    offsets: Literal["characters", "utf16"] = "characters"

    def read(self, line: int, record: Mapping[str, Any]) -> Record:
        """Raises NotARecord for what is missing, of a wrong type, or out of range."""
        fields = self.fields
        text = _text(_pick(_with_text(record, fields.text), fields.text, TEXTS, str(line)), "text")
        identity = _pick(record, fields.id, IDS, str(line), required=False)
        if identity is not None and not isinstance(identity, str | int):
            raise NotARecord("its id is neither text nor a whole number")
        given = _pick(record, fields.candidates, CANDIDATES, str(line), required=False)
        name = str(line if identity is None else identity)
        if given is None and (_has(record, fields.type, TYPES) and _has(record, fields.value, VALUES[:2])):
            given = [record]  # one candidate a record, beside its text
        if given is None:
            return Record(line, name, text, ())
        if not isinstance(given, list):
            raise NotARecord("its candidates are not a list")
        place = _Places(text, self.offsets)
        found = [self._candidate(one, place) for one in given if not isinstance(one, str)]
        bare = []
        for one in given:
            if isinstance(one, str):
                kind, reason = self._type(one)
                if reason:
                    found.append(Candidate(kind, None, None, reason=reason))
                else:
                    bare.append(kind)
        return Record(line, name, text, tuple(found), tuple(bare))

    def _type(self, name: str) -> tuple[DataType, str]:
        """A type by its name; of a name that no type has, one that only bears it, and what is wrong."""
        try:
            return self.types.find(name), ""
        except InputError:
            kind = unknown(name)
            return kind, f"no type of personal data is called {kind.name!r}; add it to a file of types"

    def _candidate(self, given: object, place: _Places) -> Candidate:
        if not isinstance(given, Mapping):
            raise NotARecord("a candidate is neither a type's name nor an object")
        fields = self.fields
        name = _pick(given, fields.type, TYPES, "candidate")
        if not isinstance(name, str):
            raise NotARecord("a candidate's type is not text")
        kind, reason = self._type(name)
        gold = _pick(given, fields.gold, GOLDS, "candidate", required=False)
        if gold is not None and not isinstance(gold, bool):
            raise NotARecord("a candidate's gold label is neither true nor false")
        start = _pick(given, fields.start, BEGINS, "candidate", required=False)
        end = _pick(given, fields.end, ENDS, "candidate", required=False)
        if start is not None or end is not None:
            return Candidate(kind, *place.span(start, end), gold, reason)
        value = _text(_pick(given, fields.value, VALUES, "candidate"), "candidate's value")
        at = place.text.find(value)
        if at < 0:
            return Candidate(kind, None, None, gold, reason or "its value is not in the text")
        return Candidate(kind, at, at + len(value), gold, reason, by_value=True)


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


def _pick(
    record: Mapping[str, Any], own: str | None, known: Sequence[str], where: str, required: bool = True
) -> Any:
    names = (own,) if own is not None else known
    for name in names:
        if name in record:
            return record[name]
    if required:
        what = "a candidate has" if where == "candidate" else "it has"
        raise NotARecord(f"{what} none of the fields {', '.join(names)}")
    return None


def _with_text(record: Mapping[str, Any], own: str | None) -> Mapping[str, Any]:
    """The record, or its metadata where only they have a text."""
    inner = record.get("metadata")
    if own is not None or _has(record, None, TEXTS):
        return record
    if isinstance(inner, Mapping):
        return inner
    return {"text": inner} if isinstance(inner, str) else record


def _has(record: Mapping[str, Any], own: str | None, known: Sequence[str]) -> bool:
    return own in record if own is not None else any(name in record for name in known)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise NotARecord(f"its {what} is not text, or empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise NotARecord(f"its {what} holds half a surrogate pair at character {error.start}") from error
    return value
