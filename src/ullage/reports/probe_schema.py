"""Schemas of what is told of probes: their cards, fits and evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.reports.schema_parts import (
    COUNT,
    MAYBE_NUMBER,
    NUMBER,
    TEXT,
    Schema,
    maybe,
    of_document,
    of_list,
    of_mapping,
    of_object,
)

_SITES = of_list(TEXT)
_LAYERS = of_list({"type": ["integer", "null"]})
_TOLD = of_object(
    {
        "dialogues": COUNT,
        "positives": COUNT,
        **dict.fromkeys(("auroc", "low", "high"), MAYBE_NUMBER),
        "tokens": COUNT,
        "token_auroc": MAYBE_NUMBER,
        "reason": TEXT,
    }
)
_FLAGGED = of_object(
    {
        "threshold": NUMBER,
        "rate": MAYBE_NUMBER,
        "control": TEXT,
        **dict.fromkeys(("recall", "recall_low", "recall_high", "false_positives"), MAYBE_NUMBER),
    }
)
_SWEPT = of_object({"sites": _SITES, "lambda": NUMBER, "auroc": NUMBER, "fit": of_mapping(NUMBER)})
_ROW = of_object(
    {
        "probe": TEXT,
        "method": TEXT,
        "test": _TOLD,
        "flagged": maybe(_FLAGGED),
        "sets": of_mapping(MAYBE_NUMBER),
        "warnings": of_list(TEXT),
        "without_roles": maybe(_TOLD),
    }
)

_HEARD = of_object(
    {
        "tokens": of_list(MAYBE_NUMBER),
        **dict.fromkeys(("score", "threshold"), MAYBE_NUMBER),
        "above": {"type": ["boolean", "null"]},
    }
)
_APPLIED = of_object(
    {
        **dict.fromkeys(("probe", "name"), TEXT),
        **dict.fromkeys(("threshold", "false_positive_rate"), MAYBE_NUMBER),
        "control": TEXT,
        "flagged": {"type": ["integer", "null"]},
        "unscored": COUNT,
        "warnings": of_list(TEXT),
    }
)

PROBES: Final[Mapping[str, Schema]] = {
    "probe": of_document(
        "probe",
        {
            **dict.fromkeys(("form", "method", "model", "revision", "precision"), TEXT),
            "sites": _SITES,
            "layers": _LAYERS,
            "hidden": COUNT,
            "rows": {"enum": ["tokens", "mean", "last"]},
            "aggregation": {"enum": ["mean", "max", "last", "rolling", "attention"]},
            "window": COUNT,
            "skip_first": COUNT,
            "scaler": {"type": "boolean"},
            "intercept": NUMBER,
            "lambda": MAYBE_NUMBER,
            "fit": of_mapping(NUMBER),
            "data": TEXT,
            "dialogues": COUNT,
            "metrics": of_mapping(NUMBER),
            "threshold": MAYBE_NUMBER,
            "false_positive_rate": MAYBE_NUMBER,
            "control": TEXT,
            "source": TEXT,
            "weights": of_object({"name": TEXT, "sha256": TEXT}),
        },
        {"sha256": TEXT},
    ),
    "probe-fit": of_document(
        "probe-fit",
        {
            **dict.fromkeys(("out", "model", "method"), TEXT),
            "sites": _SITES,
            "layers": _LAYERS,
            "lambda": MAYBE_NUMBER,
            "fit": of_mapping(NUMBER),
            "parts": of_mapping(COUNT),
            "left_out": COUNT,
            "sweep": of_list(_SWEPT),
            "test": _TOLD,
            "flagged": _FLAGGED,
            "shuffled": of_object({"draws": COUNT, **dict.fromkeys(("mean", "least", "most"), NUMBER)}),
            "words": _TOLD,
            "without_roles": maybe(_TOLD),
            "transfer": of_mapping(of_mapping(MAYBE_NUMBER)),
        },
    ),
    "probe-drift": of_document(
        "probe-drift",
        {
            **dict.fromkeys(("probe", "labels", "model"), TEXT),
            "rows": of_list(
                of_object(
                    {
                        "precision": TEXT,
                        "test": _TOLD,
                        **dict.fromkeys(("correlation", "shift", "moved", "threshold"), NUMBER),
                        "flagged": maybe(_FLAGGED),
                    }
                )
            ),
        },
    ),
    "probe-evaluation": of_document(
        "probe-evaluation",
        {"labels": TEXT, "model": TEXT, "probes": of_list(_ROW), "left_out": COUNT},
    ),
    "probe-scores": of_document(
        "probe-scores",
        {
            **dict.fromkeys(("texts", "model", "out", "run"), TEXT),
            **dict.fromkeys(("dialogues", "tokens", "empty", "left_out"), COUNT),
            "probes": of_list(_APPLIED),
        },
    ),
    "chat-reply": of_document(
        "chat-reply",
        {
            "text": TEXT,
            "stop": {"enum": ["end", "stop", "length", "stopped"]},
            "prompt_tokens": COUNT,
            "tokens": of_list({"type": "integer"}),
            "pieces": of_list(TEXT),
            "probes": of_mapping(_HEARD),
            "left_out": COUNT,
        },
    ),
}
