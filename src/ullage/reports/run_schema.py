"""JSON Schemas of what runs leave, and of what is said about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.planning.document import VERSION
from ullage.reports.evidence_schema import EVIDENCE
from ullage.reports.schema_parts import (
    BYTES,
    COUNT,
    ESTIMATE,
    INTERVAL,
    MAYBE_BYTES,
    MAYBE_NUMBER,
    NUMBER,
    TEXT,
    Schema,
    of_document,
    of_list,
    of_mapping,
    of_object,
)

_MEASURED = of_object(
    {
        "phase": TEXT,
        "device": TEXT,
        **dict.fromkeys(("live", "reserved", "process", "on_device"), MAYBE_BYTES),
        "seconds": NUMBER,
        "components": of_mapping(BYTES),
        "activity": TEXT,
    }
)
_RECORD = {
    "environment": of_object(
        dict.fromkeys(("gpu", "driver", "torch", "transformers", "python", "ullage"), TEXT)
        | {"threads": COUNT}
    ),
    "measured": of_list(_MEASURED),
    "examples": COUNT,
    "tokens": COUNT,
    "seconds": NUMBER,
    "splits": COUNT,
    "outcome": {"type": "object"},
}
_COMPARISON = of_object(
    {
        "device": TEXT,
        "phase": TEXT,
        "what": TEXT,
        "kind": {"enum": ["level", "component"]},
        "predicted": INTERVAL,
        "measured": BYTES,
        "error": MAYBE_NUMBER,
        "verdict": {"enum": ["inside", "below", "above"]},
    }
)
_TIME = of_object(
    {
        "phase": TEXT,
        "examples": COUNT,
        "predicted": ESTIMATE,
        "basis": TEXT,
        "measured": NUMBER,
        "error": NUMBER,
        "verdict": {"enum": ["inside", "below", "above"]},
    }
)
_RUN = {
    "type": "object",
    "properties": {
        "document": {"const": "run"},
        "version": {"const": VERSION},
        "base": TEXT,
        "inputs": of_list(of_mapping(TEXT)),
        "sha256": TEXT,
    },
    "required": ["document", "version", "base", "inputs", "environment", "plan", "sha256"],
}
_POOL = {
    "simulated": {"type": "boolean"},
    "closed": {"type": "boolean"},
    "places": of_list(of_object({"place": TEXT} | dict.fromkeys(("budget", "used", "most"), BYTES))),
    "roles": of_list(
        of_object(
            {
                **dict.fromkeys(("name", "where", "form", "stays"), TEXT),
                **dict.fromkeys(("leases", "loads"), COUNT),
                **dict.fromkeys(("seconds", "lent_seconds", "load_seconds"), NUMBER),
                "aliases": of_list(TEXT),
                "bytes": of_mapping(BYTES),
            }
        )
    ),
    "waiting": of_list(of_object({"role": TEXT, "seconds": NUMBER, "longest": NUMBER})),
    "expected": of_mapping(NUMBER),
    "failures": COUNT,
}
_FILES = of_list(of_object({"name": TEXT, "bytes": BYTES, "sha256": TEXT}))

RUNS: Final[Mapping[str, Schema]] = {
    "evidence": of_document("evidence", EVIDENCE),
    "run": _RUN,
    "record": of_document(
        "record", _RECORD, {"resumed": {"type": "boolean"}, "folder": TEXT, "files": _FILES, "sha256": TEXT}
    ),
    "run-check": of_document(
        "run-check",
        {
            "folder": TEXT,
            "complete": {"type": "boolean"},
            "done": COUNT,
            "damaged": of_list(TEXT),
            "dropped": of_list(TEXT),
        },
    ),
    "check": of_document(
        "check", {"device_maps": of_mapping(of_mapping(TEXT)), "measured": of_list(_MEASURED)}
    ),
    "states": of_document(
        "states",
        {
            "examples": COUNT,
            "tokens": COUNT,
            "roles": of_mapping({"type": "object", "required": ["model", "stages", "sites"]}),
            "sites": of_mapping({"type": "object"}),
            "files": of_list({"type": "object", "required": ["name", "bytes", "sha256"]}),
            "sha256": TEXT,
        },
    ),
    "pool": of_document(
        "pool", _POOL, {"folder": TEXT, "state": {"enum": ["running", "cut short", "ended"]}}
    ),
    "verification": of_document(
        "verification",
        {"holds": {"type": "boolean"}, "comparisons": of_list(_COMPARISON), "times": of_list(_TIME)},
        {
            "not_finite": of_object({"values": COUNT, "sequences": COUNT, "sites": of_mapping(COUNT)}),
            "remarks": of_list(TEXT),
        },
    ),
}
