"""JSON Schema of what a plan says of its requests."""

from __future__ import annotations

from typing import Final

from ullage.reports.schema_parts import MAYBE_NUMBER, NUMBER, TEXT, Schema, maybe, of_list, of_object

_EITHER: Schema = of_object({"there": MAYBE_NUMBER, "away": MAYBE_NUMBER})
_RATES: Schema = {"a_minute": _EITHER, "a_day": _EITHER}
_STAGE: Schema = of_object(
    {
        "name": TEXT,
        "role": TEXT,
        "seconds": MAYBE_NUMBER,
        "known": NUMBER,
        "at_first": MAYBE_NUMBER,
        "away": {"type": "boolean"},
        "batch": {"type": "integer", "minimum": 1},
        "share": MAYBE_NUMBER,
    }
)
_WAY: Schema = of_object(
    {
        "name": TEXT,
        "stages": of_list(_STAGE),
        "seconds": of_object(dict.fromkeys(("there", "away", "at_first"), MAYBE_NUMBER)),
        "known_seconds": of_object({"there": NUMBER, "away": NUMBER}),
        **_RATES,
    }
)
LATENCY: Final[Schema] = maybe(of_object({"ways": of_list(_WAY), **_RATES}))
