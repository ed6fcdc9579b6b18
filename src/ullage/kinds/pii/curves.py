"""What a verification's page draws of its scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ullage.reports.charts import Line, Lines

WHOLE = (0.0, 1.0)


def curves(found: Mapping[str, Any]) -> dict[str, Lines]:
    """Precision and recall by threshold, and what probabilities mean, of a summary with labels; none of one
    without."""
    if not found["by_threshold"]:
        return {}
    return {"threshold_curve": _thresholds(found), "calibration_curve": _calibration(found["calibration"])}


def _thresholds(found: Mapping[str, Any]) -> Lines:
    own = found["threshold"]
    lines = (
        Line(
            name,
            tuple((one["threshold"], one[name]) for one in found["by_threshold"] if one[name] is not None),
        )
        for name in ("precision", "recall")
    )
    return Lines(
        title="Precision and recall",
        description="Of labelled candidates, by the threshold from which one is taken for personal data.",
        x="threshold",
        y="share",
        lines=tuple(lines),
        across=WHOLE,
        up=WHOLE,
        marks=() if own is None else ((own, "this run"),),
    )


def _calibration(found: Mapping[str, Any]) -> Lines:
    bins = found["bins"]
    most = max((one["candidates"] for one in bins), default=1)
    return Lines(
        title="Calibration",
        description="Share that is personal data by tenths of probability; on the grey line both are equal.",
        x="probability",
        y="share that is personal data",
        lines=(
            Line(
                "labelled candidates",
                tuple((one["probability"], one["personal"]) for one in bins),
                weights=tuple(one["candidates"] / most for one in bins),
            ),
        ),
        across=WHOLE,
        up=WHOLE,
        diagonal=True,
    )
