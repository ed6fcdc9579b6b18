"""JSON Schema of a traced pass."""

from __future__ import annotations

from typing import Final

from ullage.reports.schema_parts import (
    BYTES,
    COUNT,
    MAYBE_BYTES,
    TEXT,
    maybe,
    of_document,
    of_list,
    of_mapping,
    of_object,
)

_TENSOR = of_object(
    {
        "module": TEXT,
        "operation": TEXT,
        "component": TEXT,
        "shape": of_list(COUNT),
        "dtype": TEXT,
        "bytes": BYTES,
        "born": COUNT,
        "gone": MAYBE_BYTES,
    }
)
_MOMENT = of_object({"stage": TEXT, "live": BYTES, "allocated": BYTES, "reserved": BYTES})
TRACES: Final = {
    "trace": of_document(
        "trace",
        {
            "model": TEXT,
            "role": TEXT,
            "phase": TEXT,
            "device": TEXT,
            "capacity": MAYBE_BYTES,
            "allocator": TEXT,
            "stages": of_list(TEXT),
            "fullest": COUNT,
            "live": BYTES,
            "reserved": BYTES,
            "stuck": BYTES,
            "components": of_mapping(BYTES),
            "shortage": maybe(of_object({"tensor": _TENSOR, "stage": TEXT, "words": TEXT})),
            "tensors": of_list(_TENSOR),
            "moments": of_list(_MOMENT),
            "notes": of_list(TEXT),
        },
    )
}
"""By the word the document begins with."""
