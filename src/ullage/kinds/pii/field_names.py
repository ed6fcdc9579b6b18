"""The names under which known tools keep what a record and a candidate hold, whatever their case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
"""Characters of a field's name in a message."""


@lru_cache(maxsize=4096)
def fold(name: str) -> str:
    """Names are the same whatever their case, with dashes, blanks or underscores."""
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")


def field_of(record: Mapping[str, object], own: str | None, known: Sequence[str]) -> str | None:
    """The record's field that `own` names, else the first that a known name does and that holds something;
    one that holds null where there is no other."""
    if own is not None:
        return own if own in record else None
    empty = None
    there: Mapping[str, str] | None = None
    for name in known:
        found: str | None = name
        if name not in record:
            if there is None:
                there = {fold(each): each for each in record if len(each) <= LONGEST_SHOWN}
            found = there.get(fold(name))
        if found is not None:
            if record[found] is not None:
                return found
            empty = empty or found
    return empty


def pick(record: Mapping[str, object], own: str | None, known: Sequence[str]) -> object:
    """What that field holds, None where there is none."""
    found = field_of(record, own, known)
    return None if found is None else record[found]


def shown(names: Iterable[object]) -> str:
    """Names of fields, as a message may quote them."""
    every = [str(name) for name in names]
    cut = [
        name if len(name) <= LONGEST_SHOWN else name[:LONGEST_SHOWN] + "..." for name in every[:MOST_SHOWN]
    ]
    more = f" and {len(every) - MOST_SHOWN} more" if len(every) > MOST_SHOWN else ""
    return (", ".join(cut) or "none") + more
