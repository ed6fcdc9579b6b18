"""What a verification's page draws of its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ullage.reports.charts import Line, Lines

if TYPE_CHECKING:
    from ullage.kinds.pii.summary import CalibrationRows, Summary

WHOLE = (0.0, 1.0)


def threshold_curve(found: Summary) -> Lines:
    """Precision and recall by threshold, of a summary with labels."""
    own, rows = found["threshold"], found["by_threshold"]
    precisions = ((one["threshold"], one["precision"]) for one in rows)
    recalls = ((one["threshold"], one["recall"]) for one in rows)
    lines = (
        Line(name, tuple((at, value) for at, value in points if value is not None))
        for name, points in (("precision", precisions), ("recall", recalls))
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


def calibration_curve(found: CalibrationRows) -> Lines:
    """What probabilities mean."""
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
