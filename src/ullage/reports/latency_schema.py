"""JSON Schema of what a plan says of its requests."""

from __future__ import annotations

from typing import Final

from ullage.reports.schema_parts import ESTIMATE, TEXT, Schema, maybe, of_list, of_object

_MAYBE: Schema = maybe(ESTIMATE)
_EITHER: Schema = of_object({"there": _MAYBE, "away": _MAYBE})
_RATES: Schema = {"a_minute": _EITHER, "a_day": _EITHER}
_STAGE: Schema = of_object(
    {
        "name": TEXT,
        "role": TEXT,
        "seconds": _MAYBE,
        "known": ESTIMATE,
        "at_first": _MAYBE,
        "away": {"type": "boolean"},
        "batch": {"type": "integer", "minimum": 1},
        "share": _MAYBE,
        "again": {"type": "integer", "minimum": 0},
    }
)
_WAY: Schema = of_object(
    {
        "name": TEXT,
        "stages": of_list(_STAGE),
        "seconds": of_object(dict.fromkeys(("there", "away", "at_first"), _MAYBE)),
        "known_seconds": of_object({"there": ESTIMATE, "away": ESTIMATE}),
        **_RATES,
    }
)
LATENCY: Final[Schema] = maybe(of_object({"ways": of_list(_WAY), **_RATES}))
