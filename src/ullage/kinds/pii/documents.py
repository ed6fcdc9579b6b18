"""Schemas of what a verification prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.reports.schema_parts import (
    BYTES,
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

_VERDICTS = dict.fromkeys(("verified", "rejected", "failed"), COUNT)
_SCORES = dict.fromkeys(("precision", "recall", "f1"), MAYBE_NUMBER)
_SPAN = maybe(of_list(NUMBER))
_SPANS = {"precision_interval": _SPAN, "recall_interval": _SPAN}
_TALLY = of_object(
    {
        **_VERDICTS,
        "verification_rate": MAYBE_NUMBER,
        "labelled": COUNT,
        "confusion": of_object(dict.fromkeys(("right_yes", "wrong_yes", "right_no", "wrong_no"), COUNT)),
        **_SCORES,
        **_SPANS,
    }
)
_AT = of_object({"threshold": NUMBER, "verified": COUNT, "precision": MAYBE_NUMBER, "recall": MAYBE_NUMBER})
_REDACTION = of_object(
    {"redacted": COUNT, "withheld": COUNT, "reasons": of_mapping(COUNT), "folded_places": COUNT}
)
_BIN = of_object({"probability": NUMBER, "personal": NUMBER, "candidates": COUNT})
_SUMMARY = {
    "records": COUNT,
    "records_without_candidates": COUNT,
    "unread_fields": of_mapping(COUNT),
    "rejected_lines": COUNT,
    "all": _TALLY,
    "types": of_mapping(_TALLY),
    "threshold": MAYBE_NUMBER,
    "temperature": MAYBE_NUMBER,
    "by_threshold": of_list(_AT),
    "failures": of_mapping(COUNT),
    "redaction": maybe(_REDACTION),
    "calibration": of_object({"bins": of_list(_BIN), "expected_calibration_error": MAYBE_NUMBER}),
    "records_per_second": MAYBE_NUMBER,
    "seconds_a_candidate": of_object(dict.fromkeys(("p50", "p90", "p95", "p99"), MAYBE_NUMBER)),
}
_PAIRED = of_object(
    {
        "candidates": COUNT,
        "unpaired": COUNT,
        "other_verdicts": COUNT,
        "only_first_right": COUNT,
        "only_this_right": COUNT,
        "p_value": MAYBE_NUMBER,
    }
)
_RUN = of_object(
    {
        "run": TEXT,
        "model": TEXT,
        "gpus": TEXT,
        "weights": TEXT,
        **_VERDICTS,
        **_SCORES,
        **_SPANS,
        "f1_interval": _SPAN,
        "labelled": COUNT,
        "beside_first": maybe(_PAIRED),
        "calibration_error": MAYBE_NUMBER,
        "records_per_second": MAYBE_NUMBER,
        "peak_process_bytes": BYTES,
    }
)
_CALIBRATION = {
    "temperature": NUMBER,
    "threshold": NUMBER,
    "model": TEXT,
    "prompt_version": TEXT,
    "candidates": COUNT,
    "error_before": NUMBER,
    "error_after": NUMBER,
    "held_out": COUNT,
    "temperature_interval": _SPAN,
    "error_after_interval": _SPAN,
    "precision": MAYBE_NUMBER,
    "recall": MAYBE_NUMBER,
    **_SPANS,
}

DOCUMENTS: Final[Mapping[str, Schema]] = {
    "pii": of_document("pii", _SUMMARY),
    "pii-comparison": of_document("pii-comparison", {"runs": of_list(_RUN)}),
    "calibration": of_document("calibration", _CALIBRATION),
}
