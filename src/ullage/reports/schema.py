"""JSON Schema (2020-12) of the documents that `--json` prints and runs leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.planning.document import LEVELS
from ullage.reports.audit_schema import AUDIT
from ullage.reports.doctor_schema import DIAGNOSIS
from ullage.reports.guide_schema import GUIDE
from ullage.reports.latency_schema import LATENCY
from ullage.reports.probe_schema import PROBES
from ullage.reports.renting_schema import GPU_SETS
from ullage.reports.run_schema import RUNS
from ullage.reports.schema_parts import (
    ESTIMATE,
    INTERVAL,
    MAYBE_BYTES,
    MAYBE_NUMBER,
    MAYBE_TEXT,
    NUMBER,
    TEXT,
    TOTALS,
    VERDICT,
    Schema,
    heading,
    maybe,
    of_document,
    of_list,
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
        "quality_basis": {"enum": ["unchanged", "assumed", "measured"]},
        "own_cards": {"type": "boolean"},
        "known_seconds": NUMBER,
        "usd_per_hour": MAYBE_NUMBER,
        "host": INTERVAL,
        "host_usd_per_hour": MAYBE_NUMBER,
        "unknown": of_list(TEXT),
    }
)
_SEARCH = of_object(
    {
        "for_": {"enum": ["cost", "time", "quality"]},
        "kept": of_list(TEXT),
        "tried": {"type": "integer"},
        "left": {"type": "integer"},
        "nearest": maybe(
            of_object(
                {
                    "changes": {"type": "array", "items": of_list(TEXT)},
                    "gpus": TEXT,
                    "over": {"type": "integer"},
                }
            )
        ),
    }
)
_COST = of_object(
    {
        "usd_per_hour": NUMBER,
        "usd_per_1000_examples": maybe(ESTIMATE),
        "provider": TEXT,
        "as_of": TEXT,
        "source": TEXT,
        "label": TEXT,
        "usd": maybe(ESTIMATE),
        "host_bytes": MAYBE_BYTES,
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
                "basis": {"enum": ["derived", "assumed", "measured", "unknown"]},
                "source": TEXT,
            }
        )
    ),
    "cost": {"anyOf": [_COST, {"type": "null"}]},
    "hosted": of_list(_HOSTED),
    "latency": LATENCY,
    "stored": STORED,
    "advice": of_list(_ADVICE),
    "search": maybe(_SEARCH),
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
        **dict.fromkeys(("price_label", "price_provider", "price_as_of"), MAYBE_TEXT),
    }
)
_PEAK = of_object(
    dict.fromkeys(("name", "gpu", "peak_phase"), TEXT)
    | {"usable": MAYBE_BYTES, "verdict": VERDICT, "peak": INTERVAL}
)
_POINT = {
    "settings": {"type": "object"},
    "verdict": {"enum": [*VERDICT["enum"], "refused"]},
    "refused": TEXT,
    "total": maybe(of_object(TOTALS)),
    "devices": of_list(_PEAK),
    **dict.fromkeys(("seconds", "usd", "usd_per_1000_examples"), maybe(ESTIMATE)),
}
_ROW = {**of_object(_POINT), "properties": {**_POINT, "items": of_list(_ITEM)}}

DOCUMENTS: Final[Mapping[str, Schema]] = {
    **PROBES,
    **TRACES,
    **RUNS,
    "plan": of_document("plan", _PLAN | {"sha256": TEXT}),
    "estimate": of_document("estimate", _PLAN),
    "model": {**_MODEL, "properties": {**heading("model"), **_MODEL_FIELDS}},
    "models": of_document("models", {"models": of_list(_MODEL)}),
    "gpus": of_document("gpus", {"gpus": of_list(_GPU)}),
    "audit": of_document("audit", AUDIT),
    "guide": of_document("guide", GUIDE),
    "gpu-sets": of_document("gpu-sets", GPU_SETS),
    "diagnosis": DIAGNOSIS,
    "sweep": of_document("sweep", {"rows": of_list(_ROW)}),
}
"""What Ullage itself prints and writes, by the word a document begins with; kinds bring their own."""
