"""JSON Schema of what past runs left."""

from __future__ import annotations

from typing import Final

from ullage.reports.schema_parts import BYTES, ESTIMATE, INTERVAL, NUMBER, TEXT, Schema, of_list, of_object

_KEY: Schema = of_object(dict.fromkeys(("gpu", "driver", "torch", "transformers"), TEXT) | {"threads": BYTES})
_RUN: Schema = dict.fromkeys(("workload", "phase", "date", "run"), TEXT)
_OBSERVATION: Schema = of_object({"key": _KEY, "overhead": BYTES, "held": BYTES, **_RUN})
_TIMING: Schema = of_object(
    {
        "key": _KEY,
        "seconds": NUMBER,
        "passes": NUMBER,
        **_RUN,
        **dict.fromkeys(("software", "gpus", "manner"), TEXT),
    }
)
EVIDENCE: Final[Schema] = {
    "file": TEXT,
    "cleared": {"type": "boolean"},
    "damage": TEXT,
    "not_counted": of_list(of_object({"reason": TEXT, "lines": BYTES})),
    "observations": of_list(_OBSERVATION),
    "timings": of_list(_TIMING),
    "planned": of_list(
        of_object({"key": _KEY, "workload": TEXT, "runs": BYTES, "bytes": INTERVAL, "source": TEXT})
    ),
    "planned_times": of_list(
        of_object(
            {"key": _KEY, "seconds": ESTIMATE}
            | dict.fromkeys(("gpus", "workload", "phase", "manner", "source"), TEXT)
        )
    ),
    "rule": TEXT,
    "time_rule": TEXT,
}
