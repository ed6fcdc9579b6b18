"""JSON Schema of what a plan says of the disk."""

from __future__ import annotations

from typing import Final

from ullage.reports.schema_parts import INTERVAL, TEXT, Schema, of_list, of_object

STORED: Final[Schema] = of_list(
    of_object(
        {
            "what": TEXT,
            "bytes": INTERVAL,
            "basis": {"enum": ["exact", "derived", "measured"]},
            "note": TEXT,
            "each": TEXT,
            "fetched": {"type": "boolean"},
        }
    )
)
