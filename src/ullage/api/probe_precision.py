"""A probe on the same dialogues in other precisions: how far its scores move, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ullage.api.probe_evaluation import kept_unseen
from ullage.api.probe_settings import Settings, new_folder, settled, source_of
from ullage.errors import InputError

if TYPE_CHECKING:
    from ullage.probes.probe import Floats

USUAL = "dialogues of label 0"
"""What thresholds are calibrated on here."""


def probe_drift(
    probe: str | Path,
    labels: str | Path,
    model: str,
    precisions: Sequence[str],
    out: str | Path,
    *,
    unseen: bool = False,
    **settings: Unpack[Settings],
) -> dict[str, object]:
    """Reads the dialogues once in each precision into `out`; the document `probe-drift`.

    Scores of each are held against those of the first. `flagged` is by the threshold of the probe's card, and
    `threshold` what label 0 of this precision would set for the same rate. Of the settings those of the
    extraction count. Raises InputError as `evaluate_probe`, and for fewer than two precisions.
    """
    from ullage.probes.card import check_sites, open_probe
    from ullage.probes.evaluation import calibrated, evaluate, flagged
    from ullage.probes.labels import read_labels

    if len(set(precisions)) < 2:
        raise InputError("precision: drift is between two at least, as bf16,int8,nf4")
    opened, card = open_probe(probe)
    given, folder = settled(settings), new_folder(out)
    given["sites"] = opened.sites
    kept = kept_unseen([card], read_labels(labels), str(labels), leave_out=unseen)
    rate = given["rate"] if card.rate is None else card.rate
    rows: list[dict[str, object]] = []
    first: Floats | None = None
    for precision in dict.fromkeys(precisions):
        source = source_of(model, None, {**given, "precision": precision})
        dialogues, _ = source.read(kept, folder / precision, str(labels))
        check_sites(opened, dialogues.store.sites, str(dialogues.store.folder))
        tested, values = evaluate(opened, dialogues)
        first = values if first is None else first
        moved = _moved(values, first)
        usual = values[~dialogues.labels]
        told: dict[str, object] = {
            "test": asdict(tested),
            **moved,
            "threshold": calibrated(usual, USUAL, rate)[0],
        }
        if card.threshold is not None:
            told["flagged"] = asdict(
                flagged(dialogues.labels, values, card.threshold, card.rate, card.control)
            )
        rows.append({"precision": precision, "flagged": None, **told})
    return {
        "document": "probe-drift",
        "version": 1,
        "probe": str(probe),
        "labels": str(labels),
        "model": model,
        "rows": rows,
    }


def _moved(values: Floats, first: Floats) -> dict[str, object]:
    """How far scores lie from those of the first precision, in standard deviations of those."""
    import numpy as np

    spread = float(first.std()) or 1.0
    return {
        "correlation": float(np.corrcoef(first, values)[0, 1]),
        "shift": float((values - first).mean()) / spread,
        "moved": float(np.abs(values - first).mean()) / spread,
    }
