"""JSON Schema of what `ullage gpus FILE` says."""

from __future__ import annotations

from typing import Final

from ullage.reports.schema_parts import (
    COUNT,
    ESTIMATE,
    INTERVAL,
    MAYBE_BYTES,
    MAYBE_NUMBER,
    MAYBE_TEXT,
    TEXT,
    VERDICT,
    Schema,
    maybe,
    of_list,
    of_object,
)

_SET: Schema = of_object(
    {
        "gpus": TEXT,
        "verdict": VERDICT,
        "peak": INTERVAL,
        "ullage": {"type": "integer"},
        "host": INTERVAL,
        "seconds": maybe(ESTIMATE),
        "basis": {"enum": ["derived", "assumed", "measured", "unknown"]},
        "usd": maybe(ESTIMATE),
        "usd_per_hour": MAYBE_NUMBER,
        **dict.fromkeys(("label", "provider", "as_of", "source"), MAYBE_TEXT),
        "host_bytes": MAYBE_BYTES,
        "seconds_per_1000_examples": MAYBE_NUMBER,
        "usd_per_1000_examples": MAYBE_NUMBER,
    }
)
GPU_SETS: Final[Schema] = {
    "examples": COUNT,
    **dict.fromkeys(("label", "provider", "file"), TEXT),
    "currency": {"const": "USD"},
    **dict.fromkeys(("recommended", "runner_up"), MAYBE_TEXT),
    "sets": of_list(_SET),
    **dict.fromkeys(("more", "beaten"), COUNT),
    "left_out": of_object(
        dict.fromkeys(("unpriced", "without_kernels", "too_small", "refused"), COUNT) | {"refusal": TEXT}
    ),
}
