"""JSON Schema (2020-12) of the documents that `--json` prints."""

from __future__ import annotations

from typing import Any

from ullage.reports.document import LEVELS, VERSION

_BYTES = {"type": "integer", "minimum": 0}
_INTERVAL = {
    "type": "object",
    "properties": {"low": _BYTES, "expected": _BYTES, "high": _BYTES},
    "required": ["low", "expected", "high"],
    "additionalProperties": False,
}
_TOTALS = dict.fromkeys(LEVELS, _INTERVAL)
_VERDICT = {"enum": ["fits", "tight", "does not fit"]}
_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_MAYBE_NUMBER = {"type": ["number", "null"]}
_MAYBE_BYTES = {"type": ["integer", "null"]}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_DEVICE = _object(
    {
        "name": _TEXT,
        "gpu": _TEXT,
        "usable": _MAYBE_BYTES,
        "budget": _MAYBE_BYTES,
        "ullage": _MAYBE_BYTES,
        "verdict": _VERDICT,
        "peak_phase": _TEXT,
        **_TOTALS,
        "phases": _list(_object({"name": _TEXT, **_TOTALS})),
    }
)
_ITEM = _object(
    {
        "role": _TEXT,
        "component": _TEXT,
        "device": _TEXT,
        "phase": _TEXT,
        "layers": {"type": ["array", "null"], "items": {"type": "integer"}},
        "bytes": _INTERVAL,
        "basis": {"enum": ["exact", "derived", "measured", "assumed"]},
        "level": {"enum": list(LEVELS)},
        "note": _TEXT,
    }
)
_ADVICE = _object(
    {
        "changes": _list(_object({"path": _TEXT, "value": _TEXT})),
        "gpus": _TEXT,
        "verdict": _VERDICT,
        "quality_loss": _NUMBER,
        "note": _TEXT,
        "seconds_per_1000_examples": _NUMBER,
        "usd_per_1000_examples": _MAYBE_NUMBER,
        "saves": {"type": "integer"},
        "peak": _INTERVAL,
    }
)
_COST = _object(
    {
        "usd_per_hour": _NUMBER,
        "usd_per_1000_examples": _NUMBER,
        "provider": _TEXT,
        "as_of": _TEXT,
        "source": _TEXT,
    }
)
_PLAN = {
    "workload": _TEXT,
    "kind": _TEXT,
    "gpus": _TEXT,
    "verdict": _VERDICT,
    "devices": _list(_DEVICE),
    "total": _object(_TOTALS),
    "items": _list(_ITEM),
    "placement": {"type": "object", "additionalProperties": {"type": "object"}},
    "decisions": _list(_object({"subject": _TEXT, "choice": _TEXT, "reason": _TEXT})),
    "times": _list(
        _object(
            {
                "phase": _TEXT,
                "seconds": _NUMBER,
                "total_seconds": _NUMBER,
                "tokens_per_second": _MAYBE_NUMBER,
                "bound": _TEXT,
            }
        )
    ),
    "cost": {"anyOf": [_COST, {"type": "null"}]},
    "advice": _list(_ADVICE),
    "notes": _list(_TEXT),
    "warnings": _list(_TEXT),
}
_MODEL = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "model_type": _TEXT,
        "parameters": {"type": "integer", "minimum": 1},
        "parameters_by_component": {"type": "object", "additionalProperties": {"type": "integer"}},
        "dtype": _TEXT,
        "source": _TEXT,
        "stored_bytes": _MAYBE_BYTES,
    },
    "required": ["name", "model_type", "parameters", "parameters_by_component", "dtype"],
}
_SET = _object(
    {
        "gpus": _TEXT,
        "verdict": _VERDICT,
        "peak": _INTERVAL,
        "seconds_per_1000_examples": _NUMBER,
        "usd_per_1000_examples": _MAYBE_NUMBER,
    }
)
_GPU = _object(
    {
        "name": _TEXT,
        "usable": _INTERVAL,
        "basis": _TEXT,
        "bandwidth_bytes_per_second": _NUMBER,
        "flops_per_second": _NUMBER,
        "usd_per_hour": _MAYBE_NUMBER,
        "price_as_of": {"type": ["string", "null"]},
    }
)
_KEY = _object(dict.fromkeys(("gpu", "driver", "torch", "transformers"), _TEXT) | {"threads": _BYTES})
_OBSERVATION = _object(
    {"key": _KEY, "overhead": _BYTES, "held": _BYTES}
    | dict.fromkeys(("workload", "phase", "date", "run"), _TEXT)
)
_EVIDENCE = {
    "file": _TEXT,
    "cleared": {"type": "boolean"},
    "damage": _TEXT,
    "not_counted": _list(_object({"reason": _TEXT, "lines": _BYTES})),
    "observations": _list(_OBSERVATION),
    "planned": _list(
        _object({"key": _KEY, "workload": _TEXT, "runs": _BYTES, "bytes": _INTERVAL, "source": _TEXT})
    ),
    "rule": _TEXT,
}
_ROW = _object({"settings": {"type": "object"}, "verdict": _VERDICT, "total": _object(_TOTALS)})


def document_schema(kind: str) -> dict[str, Any]:
    """The schema of one document: plan, estimate, model, models, gpus, gpu-sets, sweep or evidence."""
    head = {"document": {"const": kind}, "version": {"const": VERSION}}
    bodies: dict[str, dict[str, Any]] = {
        "plan": _object({**head, **_PLAN}),
        "estimate": _object({**head, **_PLAN}),
        "model": {**_MODEL, "properties": {**head, **_MODEL["properties"]}},  # type: ignore[dict-item]
        "models": _object({**head, "models": _list(_MODEL)}),
        "gpus": _object({**head, "gpus": _list(_GPU)}),
        "gpu-sets": _object({**head, "sets": _list(_SET)}),
        "sweep": _object({**head, "rows": _list(_ROW)}),
        "evidence": _object({**head, **_EVIDENCE}),
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **bodies[kind]}
