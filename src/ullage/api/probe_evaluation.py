"""Saved probes held against labelled dialogues they have not seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.api.probe_settings import Source
from ullage.errors import InputError

if TYPE_CHECKING:
    from ullage.probes.card import Card, Origin
    from ullage.probes.dialogues import Dialogues
    from ullage.probes.documents import EvaluatedProbe
    from ullage.probes.labels import Labelled
    from ullage.probes.probe import Probe


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Probes by name, with their cards; `source` gives states. `unseen` leaves out what a probe was fitted
    to; `tokens` is a file for the scores of every token."""

    probes: tuple[tuple[str, Probe, Card], ...]
    source: Source
    folder: Path
    unseen: bool
    rate: float
    tokens: Path | None = None

    def document(
        self, labelled: Sequence[Labelled], where: str, control: str | None, without_roles: bool
    ) -> dict[str, object]:
        """The document `probe-evaluation`."""
        from ullage.probes.documents import evaluation_document
        from ullage.probes.labels import read_labels

        kept = kept_unseen([card for _, _, card in self.probes], labelled, where, leave_out=self.unseen)
        dialogues, read = self.source.read(kept, self.folder, where)
        ordinary = None
        if control is not None:
            mine = read_labels(control, unlabelled=True)
            ordinary, _ = self.source.read(mine, self.folder / "control", control)
        bare = None
        if without_roles:
            stripped = [one.without_roles() for one in kept]
            bare, _ = self.source.read(stripped, self.folder / "without-roles", where)
        rows = []
        for name, probe, card in self.probes:
            rows.append(self._row(name, probe, card, dialogues, read.origin, ordinary, bare))
        if self.tokens is not None:
            self._write_tokens(dialogues, self.tokens)
        return evaluation_document(where, read.origin, rows, len(labelled) - len(dialogues))

    def _row(
        self,
        name: str,
        probe: Probe,
        card: Card,
        dialogues: Dialogues,
        origin: Origin,
        ordinary: Dialogues | None,
        bare: Dialogues | None,
    ) -> EvaluatedProbe:
        import numpy as np

        from ullage.probes.card import check_sites
        from ullage.probes.documents import EvaluatedProbe
        from ullage.probes.evaluation import auroc, calibrated, dialogue_scores, evaluate, flagged

        check_sites(probe, dialogues.store.sites, str(dialogues.store.folder))
        told, values = evaluate(probe, dialogues)
        found = None
        if ordinary is not None:
            (usual,) = dialogue_scores(ordinary.rows(probe.reading), [probe], len(ordinary))
            found = flagged(
                dialogues.labels, values, *_with(self.rate, calibrated(usual, "control dialogues", self.rate))
            )
        elif card.threshold is not None:
            found = flagged(dialogues.labels, values, card.threshold, card.rate, card.control)
        sets = np.array([one.set for one in dialogues.labelled])
        by_set = {
            str(each): auroc(dialogues.labels[sets == each], values[sets == each]) for each in np.unique(sets)
        }
        return EvaluatedProbe(
            name,
            card.method,
            told,
            found,
            by_set if len(by_set) > 1 else {},
            tuple(card.other_origin(origin)),
            None if bare is None else evaluate(probe, bare)[0],
        )

    def _write_tokens(self, dialogues: Dialogues, path: Path) -> None:
        """A line for each dialogue: the ids of the tokens that count, and of each probe their scores."""
        from ullage.probes.evaluation import token_scores
        from ullage.probes.probe import Reading
        from ullage.records.atomic import write_text

        rows = dialogues.rows(Reading())
        whose, values = token_scores(rows, [probe for _, probe, _ in self.probes])
        lines = []
        for number, one in enumerate(dialogues.labelled):
            mine = whose == number
            scores = {
                name: [round(float(each), 6) for each in value[mine]]
                for (name, _, _), value in zip(self.probes, values, strict=True)
            }
            tokens = dialogues.token_ids[number]
            if len(tokens) != int(mine.sum()):
                tokens = ()  # one row stands for them all
            lines.append({"id": one.id, "label": one.label, "tokens": tokens, "scores": scores})
        write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def kept_unseen(
    cards: Sequence[Card], labelled: Sequence[Labelled], where: str, *, leave_out: bool
) -> list[Labelled]:
    """What none of the probes has seen. Raises InputError where one has, unless that is left out, and where
    what is left has one label only."""
    from ullage.probes.evaluation import refuse_overlap, unseen

    fresh = [True] * len(labelled)
    for card in cards:
        if not leave_out:
            refuse_overlap(card, labelled, where)
        fresh = [a and b for a, b in zip(fresh, unseen(card, labelled), strict=True)]
    kept = [one for one, new in zip(labelled, fresh, strict=True) if new]
    if len({one.label for one in kept}) < 2:
        raise InputError(
            f"{where}: {len(kept):,} dialogues are left that no probe has seen, and not of both labels"
        )
    return kept


def _with(rate: float, found: tuple[float, str]) -> tuple[float, float, str]:
    return found[0], rate, found[1]
