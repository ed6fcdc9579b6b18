"""What an evaluation's page draws of measures of uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ullage.reports.charts import Line, Lines

if TYPE_CHECKING:
    from ullage.kinds.evaluate.gathered import Gathered


def curves(gathered: Gathered, label: str, names: Sequence[str]) -> tuple[Lines, Lines]:
    """ROC curves, and accuracy over the share of answers kept."""
    from sklearn.metrics import roc_curve

    from ullage.measures.telling_apart import alike, kept_accuracy

    roc, kept = [], []
    for name in names:
        wrong, values = gathered.scored(label, gathered.uncertainty[name])
        if wrong.all() or not wrong.any():
            continue
        labels, values, counts = alike(wrong.astype(float), values)
        false, true, _ = roc_curve(labels, values, sample_weight=counts)
        roc.append(Line(name, tuple(zip(false.tolist(), true.tolist(), strict=True))))
        share, accuracy = kept_accuracy(labels, values, counts)
        kept.append(Line(name, tuple(zip(share.tolist(), accuracy.tolist(), strict=True))))
    return (
        Lines(
            title="ROC",
            description="Mistakes found over right answers flagged, by measure; the grey line is chance.",
            x="right answers flagged",
            y="mistakes flagged",
            lines=tuple(roc),
            across=(0.0, 1.0),
            up=(0.0, 1.0),
            diagonal=True,
        ),
        Lines(
            title="Rejection",
            description="Accuracy of the answers that are kept, over the share of them, by measure.",
            x="share of answers kept, most certain first",
            y="accuracy",
            lines=tuple(kept),
            across=(0.0, 1.0),
            up=(0.0, 1.0),
        ),
    )
