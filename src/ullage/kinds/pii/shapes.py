"""The shapes in which detectors write candidates, each turned into the same few values."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ullage.kinds.pii.field_names import (
    BEGINS,
    CANDIDATES,
    ENDS,
    GOLDS,
    LENGTHS,
    TYPES,
    VALUES,
    field_of,
    fold,
    pick,
    shown,
)
from ullage.kinds.pii.input_lines import Twice, once
from ullage.kinds.pii.offsets import NotARecord, Unit
from ullage.kinds.pii.section import RecordFields
from ullage.kinds.pii.types import DataTypes

DEEPEST: Final = 4
"""Lists and dictionaries within one another that may lie around candidates."""
LONGEST_LITERAL: Final = 2**20
"""Characters of text that may itself be a list: a table's cell."""
RANGES: Final[Sequence[tuple[str, Unit | None]]] = (
    ("codepointRange", "characters"),
    ("byteRange", "utf8"),
    ("span", None),
    ("offsets", None),
    ("position", None),
    ("location", None),
)
"""Where a candidate keeps both of its offsets together, and what they count where that is known."""
CONTAINERS: Final = frozenset(map(fold, CANDIDATES))
PRINTED: Final = re.compile(
    r"type: (?P<type>\w{1,99}), start: (?P<start>\d{1,12}), end: (?P<end>\d{1,12}), score: [\d.e-]{1,40}"
)
"""A result of Presidio's that was written as it prints itself."""
PIECE: Final = "##"
BESIDE: Final = frozenset(map(fold, (*GOLDS, "score", "confidence", "confidence_score", "probability")))
"""What may stand beside a bare type."""


@dataclass(frozen=True, slots=True)
class Given:
    """One candidate as it was given: what its type is called (several names where it has several labels), and
    its value, its offsets, or neither. `unit` is what the offsets count, where they say so."""

    names: tuple[str, ...]
    value: str | None = None
    start: object = None
    end: object = None
    unit: Unit | None = None
    gold: bool | None = None


def flattened(held: object, fields: RecordFields, types: DataTypes, text: str) -> Iterator[Given]:
    """Every candidate in what a field holds: a list, a dictionary by type, or either of them as text.

    Raises NotARecord for one that is not understood.
    """
    yield from _Flattening(fields, types, text).every(held, (), DEEPEST)


def pieced(given: Iterable[Given]) -> tuple[Given, ...]:
    """Candidates whose pieces are one: a tokenizer's parts of a word (`Bru`, `##no`) without offsets."""
    found: list[Given] = []
    for one in given:
        last = found[-1] if found else None
        piece = one.start is None and one.value is not None and one.value.startswith(PIECE)
        if piece and last is not None and last.start is None and last.value and one.value:
            found[-1] = replace(last, value=last.value + one.value.removeprefix(PIECE))
        else:
            found.append(one)
    return tuple(found)


def parsed(held: object) -> object:
    """What a table's cell holds: a list or dictionary that is written as JSON or Python; else itself."""
    if not isinstance(held, str) or len(held) > LONGEST_LITERAL or held.lstrip()[:1] not in ("[", "{", "("):
        return held
    try:
        return json.loads(held, object_pairs_hook=once)
    except Twice as error:
        raise NotARecord(f"an object written as text {error}") from error
    except (ValueError, RecursionError):
        pass
    try:
        found = ast.literal_eval(held.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return held
    return list(found) if isinstance(found, tuple) else found


def like_candidates(value: object, fields: RecordFields) -> bool:
    """Whether a list holds objects with a type and a place, which are candidates under another name."""
    return isinstance(value, list) and any(
        isinstance(one, Mapping)
        and field_of(one, fields.type, TYPES) is not None
        and any(field_of(one, None, names) is not None for names in (BEGINS, VALUES))
        for one in value
    )


@dataclass(frozen=True, slots=True)
class _Flattening:
    fields: RecordFields
    types: DataTypes
    text: str

    def every(self, held: object, names: tuple[str, ...], depth: int) -> Iterator[Given]:
        """`names` are what stands over what is held."""
        held = parsed(held)
        if isinstance(held, Mapping):
            yield from self._mapping(held, names, depth)
        elif isinstance(held, (list, tuple)):
            for one in held:
                yield from self._element(one, names, depth)
        elif names and isinstance(held, str):
            yield self._named(names, held)
        elif held is not None:
            raise NotARecord(
                "its candidates are not a list of types or objects, nor a dictionary by type; "
                "where another field holds them, name it: --fields candidates=FIELD"
            )

    def _mapping(self, held: Mapping[str, object], names: tuple[str, ...], depth: int) -> Iterator[Given]:
        inside = held.get("value")
        if isinstance(inside, Mapping) and field_of(inside, self.fields.start, BEGINS) is not None:
            held = inside  # a region of Label Studio's
        if self._is_candidate(held, names):
            yield self._object(held, names)
            return
        if depth == 0:
            raise NotARecord("its candidates are nested too deeply")
        inner = [name for name in held if fold(name) in CONTAINERS and isinstance(held[name], (list, dict))]
        if inner and not any(held[name] for name in inner):
            other = [name for name, value in held.items() if like_candidates(value, self.fields)]
            if other:
                raise NotARecord(
                    f"no candidates are read in it, and {shown(other)} may hold some; it has {shown(held)}"
                )
        for name, value in held.items():
            if name in inner:
                yield from self.every(value, names, depth - 1)
            elif value is not None and not (inner and self._beside(name, value)):
                yield from self.every(value, (name,), depth - 1)

    def _beside(self, name: str, value: object) -> bool:
        """Whether what stands beside a list of candidates is none itself: an id, an author, a date."""
        return not (self.types.may_be(name) and isinstance(value, (list, dict)))

    def _element(self, one: object, names: tuple[str, ...], depth: int) -> Iterator[Given]:
        if isinstance(one, str):
            printed = PRINTED.fullmatch(one)
            if printed is not None:
                yield Given((printed["type"],), None, int(printed["start"]), int(printed["end"]))
            else:
                yield self._named(names, one) if names else Given((one,))
        elif isinstance(one, Mapping):
            yield from self._mapping(one, names, depth)
        elif isinstance(one, (list, tuple)):
            if depth and one and all(isinstance(each, (Mapping, list, tuple)) for each in one):
                for each in one:
                    yield from self._element(each, names, depth - 1)
            else:
                yield self._row(one, names)
        else:
            raise NotARecord("a candidate is neither a type's name nor an object")

    def _is_candidate(self, held: Mapping[str, object], names: tuple[str, ...]) -> bool:
        """Whether this is one candidate; else it holds some, by type or under a known name."""
        fields = self.fields
        if (
            field_of(held, fields.start, BEGINS) is not None
            or field_of(held, fields.end, ENDS) is not None
            or any(name in held for name, _ in RANGES)
        ):
            return True
        placed = isinstance(pick(held, fields.value, VALUES), str)
        if names and placed:
            return True
        kind = field_of(held, fields.type, TYPES)
        return kind is not None and (placed or isinstance(held[kind], str)) and not self.types.may_be(kind)

    def _object(self, held: Mapping[str, object], names: tuple[str, ...]) -> Given:
        fields = self.fields
        kind = field_of(held, fields.type, TYPES)
        own = _names(held[kind]) if kind is not None else ()
        if not own and not names:
            known = (fields.type,) if fields.type is not None else TYPES
            said = "type is not text" if kind is not None else f"type is in none of {', '.join(known)}"
            raise NotARecord(f"a candidate's {said}; it has {shown(held)}")
        gold = pick(held, fields.gold, GOLDS)
        if isinstance(gold, str):
            gold = {"true": True, "false": False}.get(gold.casefold(), gold)
        if gold is not None and not isinstance(gold, bool):
            raise NotARecord("a candidate's gold label is neither true nor false")
        rest = {name: value for name, value in held.items() if name != kind or name == fields.value}
        value = pick(rest, fields.value, VALUES)
        start, end, unit = self._offsets(held)
        found = value if isinstance(value, str) else None
        if start is None and end is None and found is None:
            if value is not None:
                raise NotARecord("its candidate's value is not text, or empty")
            if {fold(name) for name in held if name != kind} - BESIDE:
                raise NotARecord(
                    f"a candidate has neither start and end nor a value; it has {shown(held)}; "
                    "name them with --fields start=FIELD,end=FIELD or value=FIELD"
                )
        return Given(own or names, found, start, end, unit, gold)

    def _offsets(self, held: Mapping[str, object]) -> tuple[object, object, Unit | None]:
        fields = self.fields
        start, end = pick(held, fields.start, BEGINS), pick(held, fields.end, ENDS)
        if start is not None or end is not None:
            length = pick(held, fields.length, LENGTHS)
            if end is None and type(start) is int and type(length) is int:
                end = start + length
            return start, end, None
        for name, unit in RANGES:
            place = held.get(name)
            if isinstance(place, Mapping):
                first, last, own = self._offsets(place)
                if last is not None:
                    return (0 if first is None else first), last, own or unit  # protocol buffers omit zeros
            elif isinstance(place, (list, tuple)) and len(place) == 2:
                return place[0], place[1], unit
        return None, None, None

    def _row(self, row: Sequence[object], names: tuple[str, ...]) -> Given:
        """A candidate without names of fields: [start, end, type], (value, type), [start, end] of a type."""
        texts = [one for one in row if isinstance(one, (str, list, tuple))]
        whole = [one for one in row if type(one) is int]
        scores = sum(isinstance(one, float) for one in row)
        if len(texts) + len(whole) + scores == len(row) and len(whole) in (0, 2):
            start, end = whole or (None, None)
            if len(texts) == 1 and not names and whole and (found := _names(texts[0])):
                return Given(found, None, start, end)
            if names and len(texts) <= 1 and (whole or texts):
                said = texts[0] if texts and isinstance(texts[0], str) else None
                return Given(names, said, start, end)
            if len(texts) == 2 and not names:
                value, kind = texts
                if isinstance(value, str) and isinstance(kind, str):
                    turned = self.types.may_be(value) and not self.types.may_be(kind)
                    return Given((value,), kind, start, end) if turned else Given((kind,), value, start, end)
        raise NotARecord(
            "a candidate is a list, but neither start, end and type nor value and type; write objects"
        )

    def _named(self, names: tuple[str, ...], other: str) -> Given:
        """A name over a text: the type over a value, or the value over its type, as some write it."""
        (name,) = names
        if not self.types.may_be(name) and self.types.may_be(other) and name in self.text:
            return Given((other,), name)
        return Given(names, other)


def _names(held: object) -> tuple[str, ...]:
    """What a type is called: a text, some of them, or an object with a name."""
    if isinstance(held, str):
        return (held,) if held else ()
    if isinstance(held, Mapping):
        inner = pick(held, None, ("name", "value", "label", "type"))
        return (inner,) if isinstance(inner, str) and inner else ()
    if isinstance(held, (list, tuple)) and held:
        every = [_names(one) for one in held if not isinstance(one, (list, tuple))]
        return tuple(name for some in every for name in some) if all(every) else ()
    return ()
