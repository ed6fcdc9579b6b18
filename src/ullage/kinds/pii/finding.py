"""Which of a record's fields hold its candidates; what may hold some and is not read makes it no record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ullage.kinds.pii.field_names import (
    BEGINS,
    CANDIDATES,
    ENDS,
    OWN_VALUES,
    TYPES,
    field_of,
    fold,
    known_fields,
    pick,
    shown,
)
from ullage.kinds.pii.offsets import NotARecord
from ullage.kinds.pii.section import RecordFields
from ullage.kinds.pii.shapes import Given, flattened, like_candidates, parsed
from ullage.kinds.pii.types import DataTypes

LOOSE: Final = frozenset(("label", "labels", "result", "results"))
"""Names that other things have as well."""
SHORTEST: Final = 3
"""Characters of a value that is looked for in the text: shorter ones stand in any text by chance."""
DEEPEST: Final = 6
"""Values within one another that are looked at."""


def given_in(
    record: Mapping[str, object], fields: RecordFields, types: DataTypes, text: str
) -> Iterator[Given]:
    """The candidates in `record`, a record's fields beside its id and its text.

    Raises NotARecord where several fields hold some, and where another than those that are read may.
    """
    held = [name for name in _holding(record, fields) if _filled(parsed(record[name]))]
    if len(held) > 1:
        raise NotARecord(
            f"it has candidates under {shown(held)}; "
            f"say which are meant: --fields candidates={shown(held[:1])}"
        )
    if held:
        yield from flattened(record[held[0]], fields, types, text)
        return
    if _alone(record, fields):
        yield from flattened([record], fields, types, text)
        return
    empty = _holding(record, fields)
    doubtful = [
        name
        for name, value in record.items()
        if name not in fields.ignored
        and name not in empty
        and (
            like_candidates(parsed(value), fields)
            if empty and fields.candidates is None
            else _may_hold(name, parsed(value), types, text)
        )
    ]
    if doubtful:
        first = shown(doubtful[:1])
        raise NotARecord(
            f"no candidates are read in it, and {shown(doubtful)} may hold some; it has {shown(record)}; "
            f"say that it does, --fields candidates={first}, or does not, --fields ignored={first}"
        )


def _holding(record: Mapping[str, object], fields: RecordFields) -> list[str]:
    """The fields under a name that candidates are known by; a class or a number called `label` holds none."""
    if fields.candidates is not None:
        return [fields.candidates] if fields.candidates in record else []
    return [
        name
        for name in known_fields(record, CANDIDATES)
        if name not in fields.ignored
        and (
            record[name] is None or fold(name) not in LOOSE or isinstance(parsed(record[name]), (list, dict))
        )
    ]


def empty_in(record: Mapping[str, object], fields: RecordFields) -> list[str]:
    """The fields that were looked into for candidates, and hold none."""
    return [name for name in _holding(record, fields) if not _filled(parsed(record[name]))]


def _filled(value: object) -> bool:
    return value is not None and value != [] and value != {} and value != ""


def _alone(record: Mapping[str, object], fields: RecordFields) -> bool:
    """Whether the record is itself one candidate, beside its text."""
    kind = field_of(record, fields.type, TYPES)
    if kind is None or not _filled(record[kind]):
        return False
    rest = {name: value for name, value in record.items() if name != kind}
    placed = pick(rest, fields.start, BEGINS) is not None and (
        pick(rest, fields.end, (*ENDS, "length")) is not None
    )
    return placed or isinstance(pick(rest, fields.value, OWN_VALUES), str)


def _may_hold(name: str, value: object, types: DataTypes, text: str) -> bool:
    """Whether a field may hold candidates: a list, what holds a part of the text, a type's name."""
    if isinstance(value, (list, tuple)):
        return bool(value) and not all(isinstance(one, float) for one in value)  # an embedding
    if isinstance(value, Mapping):
        return _holds_some(value, types, text.casefold(), DEEPEST)
    if not isinstance(value, str):
        return False
    if types.may_be(value.strip()):
        return True
    return bool(types.may_be(name)) and _stands(value, text.casefold())


def _holds_some(value: object, types: DataTypes, text: str, depth: int) -> bool:
    value = parsed(value)
    if isinstance(value, (list, tuple)):
        return bool(value) and not all(isinstance(one, float) for one in value)
    if isinstance(value, Mapping):
        return depth == 0 or any(_holds_some(one, types, text, depth - 1) for one in value.values())
    return isinstance(value, str) and (bool(types.may_be(value)) or _stands(value, text))


def _stands(value: str, text: str) -> bool:
    return len(value) >= SHORTEST and value.casefold() in text
