"""JSON Schema (2020-12) of the documents that `--json` prints and runs leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.planning.document import LEVELS, VERSION
from ullage.reports.doctor_schema import DIAGNOSIS
from ullage.reports.latency_schema import LATENCY
from ullage.reports.probe_schema import PROBES
from ullage.reports.schema_parts import (
    BYTES,
    COUNT,
    ESTIMATE,
    INTERVAL,
    MAYBE_BYTES,
    MAYBE_NUMBER,
    NUMBER,
    TEXT,
    TOTALS,
    VERDICT,
    Schema,
    heading,
    maybe,
    of_document,
    of_list,
    of_mapping,
    of_object,
)
from ullage.reports.storage_schema import STORED
from ullage.reports.trace_schema import TRACES

_DEVICE = of_object(
    {
        "name": TEXT,
        "gpu": TEXT,
        "usable": MAYBE_BYTES,
        "budget": MAYBE_BYTES,
        "usable_range": {"anyOf": [INTERVAL, {"type": "null"}]},
        "usable_basis": {"enum": ["measured", "derived", "assumed", "given", None]},
        "usable_source": {"type": ["string", "null"]},
        "ullage": MAYBE_BYTES,
        "verdict": VERDICT,
        "peak_phase": TEXT,
        **TOTALS,
        "phases": of_list(of_object({"name": TEXT, **TOTALS})),
    }
)
_ITEM = of_object(
    {
        "role": TEXT,
        "component": TEXT,
        "device": TEXT,
        "phase": TEXT,
        "layers": {"type": ["array", "null"], "items": {"type": "integer"}},
        "bytes": INTERVAL,
        "basis": {"enum": ["exact", "traced", "derived", "measured", "assumed"]},
        "level": {"enum": list(LEVELS)},
        "note": TEXT,
    }
)
_ADVICE = of_object(
    {
        "changes": of_list(of_object({"path": TEXT, "value": TEXT})),
        "gpus": TEXT,
        "verdict": VERDICT,
        "quality_loss": NUMBER,
        "note": TEXT,
        "seconds_per_1000_examples": MAYBE_NUMBER,
        "usd_per_1000_examples": MAYBE_NUMBER,
        "saves": {"type": "integer"},
        "peak": INTERVAL,
    }
)
_COST = of_object(
    {
        "usd_per_hour": NUMBER,
        "usd_per_1000_examples": maybe(ESTIMATE),
        "provider": TEXT,
        "as_of": TEXT,
        "source": TEXT,
    }
)
_HOSTED = of_object(
    {
        "role": TEXT,
        "model": TEXT,
        "requests": {"type": "integer"},
        "prompt_tokens": {"type": "integer"},
        "new_tokens": {"type": "integer"},
        "usd_per_1000_examples": MAYBE_NUMBER,
        "usd": MAYBE_NUMBER,
    }
)
_PLAN = {
    "workload": TEXT,
    "kind": TEXT,
    "gpus": TEXT,
    "verdict": VERDICT,
    "devices": of_list(_DEVICE),
    "total": of_object(TOTALS),
    "items": of_list(_ITEM),
    "placement": {"type": "object", "additionalProperties": {"type": "object"}},
    "decisions": of_list(of_object({"subject": TEXT, "choice": TEXT, "reason": TEXT})),
    "times": of_list(
        of_object(
            {
                "phase": TEXT,
                "seconds": maybe(ESTIMATE),
                "total_seconds": maybe(ESTIMATE),
                "tokens_per_second": maybe(ESTIMATE),
                "bound": TEXT,
            }
        )
    ),
    "cost": {"anyOf": [_COST, {"type": "null"}]},
    "hosted": of_list(_HOSTED),
    "latency": LATENCY,
    "stored": STORED,
    "advice": of_list(_ADVICE),
    "notes": of_list(TEXT),
    "warnings": of_list(TEXT),
    "asked": TEXT,
    "base": TEXT,
    "settled": {"type": "object", "required": ["kind", "roles"]},
    "cards": of_list({"type": "object", "required": ["id", "usable"]}),
    "roles": {
        "type": "object",
        "additionalProperties": of_object(
            {
                "precision": {"type": "object", "required": ["storage", "compute", "reason"]},
                "kernel": of_object({"name": TEXT, "reason": TEXT}),
                "placement": of_object(
                    {
                        "device_map": {"type": "object", "additionalProperties": TEXT},
                        "where": TEXT,
                        "reason": TEXT,
                    }
                ),
                "part": of_object({"layers": MAYBE_BYTES, "head": {"type": "boolean"}, "reason": TEXT}),
                "share": {
                    "anyOf": [
                        of_object({"least": NUMBER, "given": NUMBER, "beside": NUMBER, "tokens": INTERVAL}),
                        {"type": "null"},
                    ]
                },
                "base": TEXT,
                "known": of_list(
                    of_object({"activity": TEXT, "by": TEXT, "reason": TEXT, "proven": {"type": "boolean"}})
                ),
            }
        ),
    },
    "phases": of_list(
        of_object(
            {
                "name": TEXT,
                "resident": of_list({"type": "object", "required": ["name", "where"]}),
                "running": TEXT,
                "work": {"type": "object", "required": ["activity", "batch"]},
                "once": {"type": "boolean"},
                "verb": TEXT,
            }
        )
    ),
}
_MODEL_FIELDS: Schema = {
    "name": TEXT,
    "model_type": TEXT,
    "parameters": {"type": "integer", "minimum": 1},
    "parameters_by_component": {"type": "object", "additionalProperties": {"type": "integer"}},
    "dtype": TEXT,
    "source": TEXT,
    "stored_bytes": MAYBE_BYTES,
}
_MODEL: Schema = {
    "type": "object",
    "properties": _MODEL_FIELDS,
    "required": ["name", "model_type", "parameters", "parameters_by_component", "dtype"],
}
_SET = of_object(
    {
        "gpus": TEXT,
        "verdict": VERDICT,
        "peak": INTERVAL,
        "seconds_per_1000_examples": MAYBE_NUMBER,
        "usd_per_1000_examples": MAYBE_NUMBER,
    }
)
_GPU = of_object(
    {
        "name": TEXT,
        "usable": INTERVAL,
        "basis": {"enum": ["measured", "derived", "assumed"]},
        "source": TEXT,
        "bandwidth_bytes_per_second": MAYBE_NUMBER,
        "flops_per_second": MAYBE_NUMBER,
        "flops_basis": {"enum": ["derived", "assumed", None]},
        "can": of_list({"enum": ["bf16", "fp16", "flash"]}),
        "usd_per_hour": MAYBE_NUMBER,
        "price_as_of": {"type": ["string", "null"]},
    }
)
_KEY = of_object(dict.fromkeys(("gpu", "driver", "torch", "transformers"), TEXT) | {"threads": BYTES})
_OBSERVATION = of_object(
    {"key": _KEY, "overhead": BYTES, "held": BYTES}
    | dict.fromkeys(("workload", "phase", "date", "run"), TEXT)
)
_EVIDENCE = {
    "file": TEXT,
    "cleared": {"type": "boolean"},
    "damage": TEXT,
    "not_counted": of_list(of_object({"reason": TEXT, "lines": BYTES})),
    "observations": of_list(_OBSERVATION),
    "planned": of_list(
        of_object({"key": _KEY, "workload": TEXT, "runs": BYTES, "bytes": INTERVAL, "source": TEXT})
    ),
    "rule": TEXT,
}
_ROW = of_object({"settings": {"type": "object"}, "verdict": VERDICT, "total": of_object(TOTALS)})


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

DOCUMENTS: Final[Mapping[str, Schema]] = {
    **PROBES,
    **TRACES,
    "plan": of_document("plan", _PLAN | {"sha256": TEXT}),
    "estimate": of_document("estimate", _PLAN),
    "model": {**_MODEL, "properties": {**heading("model"), **_MODEL_FIELDS}},
    "models": of_document("models", {"models": of_list(_MODEL)}),
    "gpus": of_document("gpus", {"gpus": of_list(_GPU)}),
    "gpu-sets": of_document("gpu-sets", {"sets": of_list(_SET)}),
    "diagnosis": DIAGNOSIS,
    "evidence": of_document("evidence", _EVIDENCE),
    "sweep": of_document("sweep", {"rows": of_list(_ROW)}),
    "run": _RUN,
    "record": of_document("record", _RECORD, {"folder": TEXT, "files": _FILES, "sha256": TEXT}),
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
        {"holds": {"type": "boolean"}, "comparisons": of_list(_COMPARISON)},
        {
            "not_finite": of_object({"values": COUNT, "sequences": COUNT, "sites": of_mapping(COUNT)}),
            "remarks": of_list(TEXT),
        },
    ),
}
"""What Ullage itself prints and writes, by the word a document begins with; kinds bring their own."""
