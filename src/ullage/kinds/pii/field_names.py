"""The names under which known tools keep what a record and a candidate hold, whatever their case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

IDS: Final = ("id", "recordId")
TEXTS: Final = (
    "text",
    "input",
    "content",
    "source_text",
    "context",
    "sentence",
    "full_text",
    "prompt",
    "document",
    "body",
    "message",
    "original_text",
    "unmasked_text",
)
"""Looked for in a record, then in what lies around it (HOLDERS)."""
HOLDERS: Final = ("metadata", "data")
"""Fields that may hold a text, or be one: of an older shape, and of Label Studio's tasks."""
CANDIDATES: Final = (
    "candidates",
    "entities",
    "PIIs",
    "privacy_mask",
    "spans",
    "ents",
    "label",
    "labels",
    "findings",
    "results",
    "result",
    "analyzer_results",
    "predictions",
    "detections",
    "pii",
    "pii_entities",
    "annotations",
)
TYPES: Final = (
    "type",
    "entity_type",
    "label",
    "entity_group",
    "category",
    "info_type",
    "pii_type",
    "labels",
    "entity",
)
VALUES: Final = ("value", "entity_value", "text", "word", "quote", "entity_text", "entity")
OWN_VALUES: Final = ("value", "entity_value", "word", "quote", "entity_text", "entity")
"""Of a candidate that stands beside its text, in the record itself."""
BEGINS: Final = (
    "start",
    "begin",
    "beg",
    "offset",
    "start_offset",
    "begin_offset",
    "start_position",
    "start_char",
    "start_pos",
    "start_index",
)
ENDS: Final = ("end", "end_offset", "end_position", "end_char", "end_pos", "end_index")
LENGTHS: Final = ("length",)
GOLDS: Final = ("gold", "personal", "is_pii", "correct")
MOST_SHOWN: Final = 12
"""Fields that a message names."""
LONGEST_SHOWN: Final = 40
"""Characters of a field's name in a message, and of one that may be a known one."""
MOST_KEPT: Final = 64
"""Fields of a record for which it is kept which are known."""
LONGEST_KEPT: Final = 1024
"""Characters of the names of all of them."""


def fold(name: str) -> str:
    """Names are the same whatever their case, with dashes, blanks or underscores."""
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")


def field_of(record: Mapping[str, object], own: str | None, known: tuple[str, ...]) -> str | None:
    """The record's field that `own` names, else the first that a known name does and that holds something;
    one that holds null where there is no other."""
    if own is not None:
        return own if own in record else None
    if record.get(known[0]) is not None:
        return known[0]
    found = known_fields(record, known)
    for name in found:
        if record[name] is not None:
            return name
    return found[0] if found else None


def known_fields(record: Mapping[str, object], known: tuple[str, ...]) -> tuple[str, ...]:
    """All fields that a known name means, in the order of the known ones."""
    names = tuple(record)
    small = len(names) <= MOST_KEPT and sum(map(len, names)) <= LONGEST_KEPT
    return _kept_fields(names, known) if small else _fields(names, known)


def _fields(names: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    folded = {name: fold(name) for name in names if len(name) <= LONGEST_SHOWN}
    for one in known:
        found |= dict.fromkeys(name for name in names if name == one)
        found |= dict.fromkeys(name for name, form in folded.items() if form == fold(one))
    return tuple(found)


_kept_fields = lru_cache(maxsize=1024)(_fields)
"""The records of a file have the same fields."""


def pick(record: Mapping[str, object], own: str | None, known: tuple[str, ...]) -> object:
    """What that field holds, None where there is none."""
    found = field_of(record, own, known)
    return None if found is None else record[found]


def shown(names: Iterable[object]) -> str:
    """Names of fields, as a message may quote them."""
    every = [
        "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(name))
        for name in names
    ]
    cut = [
        name if len(name) <= LONGEST_SHOWN else name[:LONGEST_SHOWN] + "..." for name in every[:MOST_SHOWN]
    ]
    more = f" and {len(every) - MOST_SHOWN} more" if len(every) > MOST_SHOWN else ""
    return (", ".join(cut) or "none") + more
