"""A probe on the same dialogues in other precisions: how far its scores move, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ullage.api.probe_evaluation import kept_unseen
from ullage.api.probe_settings import Settings, extraction_of, new_folder, settled, source_of
from ullage.api.probe_states import Reader
from ullage.documents import document
from ullage.errors import InputError, UllageError

if TYPE_CHECKING:
    from ullage.probes.labels import Labelled
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
    extraction count. Raises InputError as `evaluate_probe`, for fewer than two precisions, and, before the
    model is read in any, for one that it cannot be read in or does not fit in.
    """
    from ullage.probes.card import check_sites, open_probe
    from ullage.probes.documents import DriftDocument, DriftRow
    from ullage.probes.evaluation import calibrated, evaluate, flagged
    from ullage.probes.labels import read_labels

    if len(set(precisions)) < 2:
        raise InputError("precision: drift is between two at least, as bf16,int8,nf4")
    opened, card = open_probe(probe)
    given, folder = settled(settings), new_folder(out)
    given["sites"] = opened.sites
    kept = kept_unseen([card], read_labels(labels), str(labels), leave_out=unseen)
    each: dict[str, Settings] = {name: {**given, "precision": name} for name in precisions}
    _check(model, each, kept, str(labels))
    rate = given["rate"] if card.rate is None else card.rate
    rows: list[DriftRow] = []
    first: Floats | None = None
    for precision, own in each.items():
        dialogues, _ = source_of(model, None, own).read(kept, folder / precision, str(labels))
        check_sites(opened, dialogues.store.sites, str(dialogues.store.folder))
        tested, values = evaluate(opened, dialogues)
        first = values if first is None else first
        ordinary, by_card = values[~dialogues.labels], None
        if card.threshold is not None:
            by_card = flagged(dialogues.labels, values, card.threshold, card.rate, card.control)
        threshold = calibrated(ordinary, USUAL, rate)[0]
        rows.append(DriftRow(precision, tested, threshold, by_card, *_moved(values, first)))
    said = DriftDocument(str(probe), str(labels), model, tuple(rows))
    return document("probe-drift", DriftDocument, said)


def _check(model: str, each: Mapping[str, Settings], kept: Sequence[Labelled], where: str) -> None:
    """Raises InputError with a line for each precision that the model cannot be read in."""
    wrong = []
    for name, own in each.items():
        try:
            Reader(model, tuple(own["sites"]), own["layers"], extraction_of(own)).check(kept, where)
        except UllageError as error:
            wrong += [f"precision {name}: {line}" for line in str(error).splitlines()]
    if wrong:
        raise InputError(*dict.fromkeys(wrong))


def _moved(values: Floats, first: Floats) -> tuple[float, float, float]:
    """How scores lie beside those of the first precision: their correlation, and by how much they are higher
    and away from those, in standard deviations of those."""
    import numpy as np

    spread = float(first.std()) or 1.0
    correlation = float(np.corrcoef(first, values)[0, 1])
    apart = values - first
    return correlation, float(apart.mean()) / spread, float(np.abs(apart).mean()) / spread
