"""What schemas of documents are made of."""

from __future__ import annotations

from collections.abc import Mapping

from ullage.planning.document import LEVELS, VERSION

Schema = Mapping[str, object]

BYTES = {"type": "integer", "minimum": 0}
COUNT = BYTES
INTERVAL = {
    "type": "object",
    "properties": {"low": BYTES, "expected": BYTES, "high": BYTES},
    "required": ["low", "expected", "high"],
    "additionalProperties": False,
}
ESTIMATE = {**INTERVAL, "properties": {key: {"type": "number"} for key in ("low", "expected", "high")}}
TOTALS = dict.fromkeys(LEVELS, INTERVAL)
VERDICT = {"enum": ["fits", "tight", "does not fit"]}
TEXT = {"type": "string"}
NUMBER = {"type": "number"}
MAYBE_NUMBER = {"type": ["number", "null"]}
MAYBE_TEXT = {"type": ["string", "null"]}
MAYBE_BYTES = {"type": ["integer", "null"]}


def of_object(properties: Schema) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def of_list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def of_mapping(values: Schema) -> Schema:
    """An object whose keys are names of the user's."""
    return {"type": "object", "additionalProperties": values}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def heading(kind: str) -> Schema:
    """The fields that every document begins with."""
    return {"document": {"const": kind}, "version": {"const": VERSION}}


def of_document(kind: str, fields: Schema, also: Schema | None = None) -> Schema:
    """A document of this kind and version 1; fields in `also` may be missing."""
    required = {**heading(kind), **fields}
    return {**of_object(required), "properties": {**required, **(also or {})}}
