"""A probe made of labelled dialogues as settings say: fitted, tested, saved with its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ullage.probes.card import Card, Origin, save_probe
from ullage.probes.dialogues import Dialogues
from ullage.probes.documents import fit_document
from ullage.probes.evaluation import Told, evaluate
from ullage.probes.fitting import Fit, Sweep, fit_probe
from ullage.probes.methods import Way
from ullage.probes.probe import Reading
from ullage.records.atomic import sha256_of, write_json
from ullage.spec.fitting import STRENGTHENED, Fitting

DOCUMENT = "fit.json"
"""Beside the probe: how it was fitted, and how it did."""


@dataclass(frozen=True, slots=True)
class Made:
    """A fitted probe with its card; `bare` is how it did with system messages taken out, None where that was
    not asked for."""

    fit: Fit
    card: Card
    bare: Told | None = None

    def save(self, folder: Path, called: str, left_out: int) -> dict[str, object]:
        """Writes probe, card and the document `probe-fit`, which it gives; `called` is the folder's name in
        it."""
        save_probe(self.fit.probe, self.card, folder)
        document = fit_document(self.fit, self.card, called, left_out, self.bare)
        write_json(folder / DOCUMENT, document)
        return document


def sweep_of(fitting: Fitting, sites: tuple[str, ...]) -> Sweep:
    """The fits that are asked for at some sites."""
    aggregation = "attention" if fitting.method == "attention" else fitting.aggregation
    reading = Reading(fitting.rows, aggregation, fitting.window, fitting.skip_first)
    return Sweep(
        (sites,) if fitting.joined else tuple((site,) for site in sites),
        fitting.strengths,
        Way(fitting.method, reading, fitting.intercept, fitting.seed, fitting.epochs),
        rate=fitting.rate,
        shuffles=fitting.shuffles,
        seed=fitting.seed,
    )


def make_probe(
    dialogues: Dialogues,
    fitting: Fitting,
    origin: Origin,
    labels: Path,
    *,
    control: Dialogues | None = None,
    bare: Dialogues | None = None,
) -> Made:
    """Fits, chooses, tests; `bare` are dialogues held out as they are without system messages. Raises
    InputError where a part of the dialogues lacks a label."""
    found = fit_probe(dialogues, sweep_of(fitting, dialogues.sites), control)
    told = (("auroc", found.told.auroc), ("recall", found.flagged.recall))
    card = Card(
        fitting.method,
        origin,
        found.strength if fitting.method in STRENGTHENED else None,
        found.notes,
        sha256_of(labels),
        int(found.parts[0].sum()),
        {name: value for name, value in told if value},
        found.flagged.threshold,
        found.flagged.rate,
        found.flagged.control,
        dialogues.digests(found.parts[0] | found.parts[1]),
    )
    return Made(found, card, None if bare is None else evaluate(found.probe, bare)[0])
