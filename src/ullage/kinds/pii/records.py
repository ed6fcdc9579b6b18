"""Records with their candidates, from the shapes that detectors write."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ullage.kinds.pii.field_names import HOLDERS, IDS, TEXTS, field_of, shown
from ullage.kinds.pii.finding import empty_in, given_in
from ullage.kinds.pii.offsets import NotARecord, Places, Unit
from ullage.kinds.pii.places import Place, first_place
from ullage.kinds.pii.section import RecordFields
from ullage.kinds.pii.shapes import Given, pieced
from ullage.kinds.pii.types import TAGGED, UNKNOWN, DataType, DataTypes

MISMATCH: Final = (
    "its value is not what its span holds; see pii.offsets (--offsets auto finds what start and end count)"
)
MARKS: Final = " \u2581\u0120#"
"""What tokenizers put before a word or a part of one."""
NO_MARKS: Final = dict.fromkeys(map(ord, "\u2581\u0120"))
UNKNOWN_TOKEN: Final = "[UNK]"
OUTSIDE: Final = "O"
"""The label of a token that is part of nothing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span [start, end) of a record's text, in characters, that may be personal data of `type`.

    What cannot be verified has a `reason`; `start` and `end` are None where there is no span, and where there
    is none yet (`bare`). `gold` is what somebody labelled it. Of a candidate `by_value` the span is the first
    place of the value, which only folding found if it is `folded`. `others` is what it may be as well, where
    its detector's name is broader than a type. `stated` is the value that was given where the span holds
    another, `score` what a detector gave it.
    """

    type: DataType
    start: int | None
    end: int | None
    gold: bool | None = None
    reason: str = ""
    by_value: bool = False
    others: tuple[DataType, ...] = ()
    folded: bool = False
    stated: str = ""
    score: float | None = None

    @property
    def bare(self) -> bool:
        """Whether it is a type alone, whose spans are still to be found."""
        return self.start is None and not self.reason

    @property
    def types(self) -> tuple[DataType, ...]:
        """All that it may be, the likeliest first."""
        return (self.type, *self.others)

    def only(self, wanted: Collection[str]) -> Candidate | None:
        """What is left of it where types called `wanted` alone count; a reason always is."""
        left = tuple(one for one in self.types if one.name in wanted)
        if not left:
            return self if self.reason else None
        return replace(self, type=left[0], others=left[1:])


@dataclass(frozen=True, slots=True)
class Record:
    """A line's text and its candidates, in the order they were given; `id` is None where it has none.

    `unread` are the fields of a record without candidates that nothing was taken from.
    """

    line: int
    id: str | int | None
    text: str
    candidates: tuple[Candidate, ...]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordReader:
    """Reads objects of one file: `fields` where given, else any of the names that known tools use."""

    types: DataTypes
    fields: RecordFields
    offsets: Unit = "characters"

    def read(self, line: int, record: Mapping[str, object]) -> Record:
        """Raises NotARecord for what is missing, of a wrong type, out of range, or not understood, with the
        fields that there are."""
        try:
            return self._read(line, record)
        except NotARecord as error:
            if "it has" in str(error):
                raise
            raise type(error)(f"{error}; it has {shown(record)}") from error

    def _read(self, line: int, record: Mapping[str, object]) -> Record:
        fields = self.fields
        holder, inner, text_field = _with_text(record, fields.text)
        text = _text(inner[text_field], "text")
        id_field = field_of(record, fields.id, IDS)
        name = record_id(record, fields.id)
        rest = {each: value for each, value in record.items() if each not in (id_field, holder, text_field)}
        if holder:
            for each, value in inner.items():
                if each != text_field:
                    rest[each if each not in rest else f"{holder}.{each}"] = value
        given = pieced(given_in(rest, fields, self.types, text))
        if not given:
            read = (*fields.ignored, *empty_in(rest, fields))
            return Record(line, name, text, (), tuple(shown([each]) for each in rest if each not in read))
        place = Places(text, self.offsets)
        found: list[tuple[Candidate, str]] = []
        for one in given:
            if one.names != (OUTSIDE,):
                _add(found, *self._candidate(one, place), text)
        return Record(line, name, text, tuple(candidate for candidate, _ in found))

    def _types(self, names: Sequence[str]) -> tuple[tuple[DataType, ...], str]:
        """All that a candidate so called may be; UNKNOWN, and what is wrong, of names that no type has.

        The names themselves are not repeated: a detector may put anything there, a person's name too.
        """
        found = self.types.may_be(names[0])
        if len(names) > 1:
            every = [kind for name in names for kind in self.types.may_be(name)]
            found = tuple({kind.name: kind for kind in every}.values())
        if found:
            return found, ""
        return (UNKNOWN,), "its type is not among the known ones; add it to a file of types"

    def _candidate(self, given: Given, place: Places) -> tuple[Candidate, str]:
        """A candidate, and the letter that its label has as a token's."""
        (kind, *others), reason = self._types(given.names)
        tagged = TAGGED.fullmatch(given.names[0])
        letter = tagged["place"] if tagged else ""
        gold, rest = given.gold, tuple(others)
        if given.start is not None or given.end is not None:
            if given.start is None or given.end is None:
                there, lacks = ("an end", "start") if given.start is None else ("a start", "end")
                raise NotARecord(
                    f"a candidate has {there} and no {lacks}, which is not taken for 0 or the rest"
                )
            begin, stop = place.span(given.start, given.end, given.unit)
            held, stated = place.text[begin:stop], given.value or ""
            if stated and not stands(stated, held):
                reason = reason or MISMATCH
            stated = "" if stated == held else stated
            return Candidate(kind, begin, stop, gold, reason, others=rest, stated=stated), letter
        if given.value is None:
            return Candidate(kind, None, None, gold, reason, others=rest), letter
        value = _text(given.value, "candidate's value")
        found = _found(place.text, value)
        if found is None:
            reason = reason or "its value is not in the text"
            return Candidate(kind, None, None, gold, reason, others=rest), letter
        (start, end), folded = found
        return Candidate(kind, start, end, gold, reason, True, rest, folded), letter


def record_id(record: Mapping[str, object], own: str | None) -> str | int | None:
    """A record's id, under its `own` name or a known one; None where it has none. Raises NotARecord."""
    id_field = field_of(record, own, IDS)
    name = None if id_field is None else record[id_field]
    if isinstance(name, str):
        return _text(name, "id")
    if name is not None and type(name) is not int:
        raise NotARecord("its id is neither text nor a whole number")
    return name


def _add(found: list[tuple[Candidate, str]], candidate: Candidate, letter: str, text: str) -> None:
    """One more candidate; a token that goes on with the one before makes that one longer.

    A tokenizer's labels say so: inside, last, end; of words' parts (`##lf`) each has one.
    """
    if found and letter in ("I", "L", "E"):
        last, before = found[-1]
        one = candidate
        whole = last.end is not None and one.start is not None and before in ("B", "I")
        if whole and not (last.by_value or one.by_value or last.reason or one.reason):
            assert last.end is not None
            between = text[last.end : one.start]
            same = last.types == one.types and last.gold == one.gold
            if same and one.start is not None and one.start >= last.end and not between.strip():
                found[-1] = (replace(last, end=one.end), letter)
                return
    found.append((candidate, letter))


def _found(text: str, value: str) -> tuple[Place, bool] | None:
    """Where a value first stands, and whether only folding found it; a tokenizer's marks and blanks around it
    are not part of it."""
    for form in dict.fromkeys((value, value.strip(MARKS))):
        place = first_place(text, form)
        if place is not None:
            return place, text[slice(*place)] != form
    return None


def stands(value: str, span: str) -> bool:
    """Whether a span holds a value, as detectors repeat it: in small letters, without accents, with blanks or
    marks between tokens, with unknown tokens instead of some characters."""
    if value == span:
        return True
    parts = [_plain(part) for part in value.split(UNKNOWN_TOKEN)]
    rest = _plain(span)
    if len(parts) == 1:
        return parts[0] == rest
    for part in parts:
        at = rest.find(part)
        if at < 0:
            return False
        rest = rest[at + len(part) :]
    return True


def _plain(text: str) -> str:
    """What is left of a value by tools that put blanks between its tokens, or write it small and plain."""
    bare = "".join(text.replace("##", "").translate(NO_MARKS).casefold().split())
    return (
        bare
        if bare.isascii()
        else "".join(one for one in unicodedata.normalize("NFKD", bare) if not unicodedata.combining(one))
    )


def _with_text(record: Mapping[str, object], own: str | None) -> tuple[str, Mapping[str, object], str]:
    """What holds the text: the record, or one of its fields, which is named; then the text's own field."""
    found = field_of(record, own, TEXTS)
    if found is not None:
        return "", record, found
    for holder in HOLDERS if own is None else ():
        inner = record.get(holder)
        if isinstance(inner, str):
            return holder, {"text": inner}, "text"
        if isinstance(inner, Mapping):
            found = field_of(inner, None, TEXTS)
            if found is not None:
                return holder, inner, found
    lacking = f"none of the fields {', '.join(TEXTS)}" if own is None else f"no field {own} to hold its text"
    raise NotARecord(f"it has {lacking}; it has {shown(record)}; name its text: --fields text=FIELD")


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise NotARecord(f"its {what} is not text, or empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise NotARecord(f"its {what} holds half a surrogate pair at character {error.start}") from error
    return value
