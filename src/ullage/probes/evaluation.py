"""How well scores tell labels apart, dialogue by dialogue and token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ullage.errors import InputError
from ullage.measures.proportions import wilson
from ullage.measures.telling_apart import SCORES, measure, scores
from ullage.measures.threshold import threshold_at
from ullage.probes.card import Card, digest
from ullage.probes.dialogues import Dialogues, digest_of
from ullage.probes.labels import Labelled
from ullage.probes.probe import Probe, Reading
from ullage.probes.rows import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ullage.probes.probe import Floats, Ints

    Bools = NDArray[np.bool_]

RATE = 0.01
"""Of ordinary dialogues that may be flagged."""


@dataclass(frozen=True, slots=True)
class Told:
    """AUROC of dialogues with its 95 % interval over resamples of dialogues, and of tokens; None, and a
    reason, where there are not two of each label."""

    dialogues: int
    positives: int
    auroc: float | None
    low: float | None
    high: float | None
    tokens: int = 0
    token_auroc: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Flagged:
    """What a threshold flags: the share of label 1 with its interval, and of label 0. It was set to flag a
    share `rate` of `control`; None where that is not known."""

    threshold: float
    rate: float | None
    control: str
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    false_positives: float | None


def dialogue_scores(rows: Rows, probes: Sequence[Probe], dialogues: int) -> list[Floats]:
    """Of each probe a score of each dialogue, (dialogues,), NaN of those that have no rows here; one pass."""
    import numpy as np

    groups = list(dict.fromkeys(probe.sites for probe in probes))
    found = [np.full(dialogues, np.nan) for _ in probes]
    for block in rows.blocks(groups, whole=True):
        begins = block.begins
        for probe, mine in zip(probes, found, strict=True):
            if groups.index(probe.sites) == block.group:
                mine[block.dialogue[begins]] = probe.dialogues(block.states, begins)
    return found


def token_scores(rows: Rows, probes: Sequence[Probe]) -> tuple[Ints, list[Floats]]:
    """Whose each row is, and of each probe a score of each row, (rows,)."""
    import numpy as np

    groups = list(dict.fromkeys(probe.sites for probe in probes))
    found = [np.empty(len(rows.dialogue)) for _ in probes]
    for block in rows.blocks(groups):
        for probe, mine in zip(probes, found, strict=True):
            if groups.index(probe.sites) == block.group:
                mine[block.first : block.first + len(block.states)] = probe.tokens(block.states)
    return rows.dialogue, found


def told_apart(
    labels: Bools, values: Floats, tokens: tuple[Bools, Floats] | None = None, seed: int = 0
) -> Told:
    """Of dialogues' labels and scores, and of their tokens' where those are given."""
    (score,) = scores(labels, values, {"AUROC": SCORES["AUROC"]}, seed=seed)
    of_tokens = None
    if tokens is not None and 0 < tokens[0].sum() < len(tokens[0]):
        of_tokens = measure(SCORES["AUROC"], tokens[0].astype(float), tokens[1])
    count = 0 if tokens is None else len(tokens[0])
    reason = score.reason
    for word, label in (("wrong", 1), ("right", 0)):
        reason = reason.replace(f"answers are {word}", f"labels are {label}")
    return Told(score.answers, score.mistakes, score.value, score.low, score.high, count, of_tokens, reason)


def auroc(labels: Bools, values: Floats) -> float | None:
    """Without an interval; None where one label is missing."""
    if not 0 < labels.sum() < len(labels):
        return None
    return measure(SCORES["AUROC"], labels.astype(float), values)


def calibrated(control: Floats, what: str, rate: float = RATE) -> tuple[float, str]:
    """The threshold that flags a share `rate` of control scores at most, and what it was calibrated on."""
    few = f", too few for {rate:.1%}: it is above them all" if 0 < rate * len(control) < 1 else ""
    return threshold_at(rate, control.tolist()), f"{len(control):,} {what}{few}"


def flagged(labels: Bools, values: Floats, threshold: float, rate: float | None, control: str) -> Flagged:
    """What a threshold does to dialogues."""
    over = values >= threshold
    positives, negatives = int(labels.sum()), int((~labels).sum())
    hits = int((over & labels).sum())
    low, high = wilson(hits, positives) or (None, None)
    recall = hits / positives if positives else None
    alarms = int((over & ~labels).sum()) / negatives if negatives else None
    return Flagged(threshold, rate, control, recall, low, high, alarms)


def evaluate(probe: Probe, dialogues: Dialogues, which: Bools | None = None) -> tuple[Told, Floats]:
    """How a probe does on labelled dialogues, or some of them; and the score of each, NaN of the others."""
    import numpy as np

    some = np.ones(len(dialogues), np.bool_) if which is None else which
    rows = dialogues.rows(probe.reading).of(some)
    (values,) = dialogue_scores(rows, [probe], len(dialogues))
    every = dialogues.rows(Reading(skip_first=probe.reading.skip_first)).of(some)
    whose, (of_tokens,) = token_scores(every, [probe])
    tokens = dialogues.labels[whose], of_tokens
    return told_apart(dialogues.labels[some], values[some], tokens), values


def refuse_overlap(card: Card, labelled: Sequence[Labelled], where: str) -> None:
    """Raises InputError for dialogues, or groups, that the probe was fitted to."""
    seen = unseen(card, labelled)
    again = len(labelled) - sum(seen)
    if again:
        first = next(one for one, fresh in zip(labelled, seen, strict=True) if not fresh)
        raise InputError(
            f"{where}: {again:,} of {len(labelled):,} dialogues, or their groups, are among those the probe "
            f"was fitted to (line {first.line}: {first.id!r}); leave them out: --unseen"
        )


def unseen(card: Card, labelled: Sequence[Labelled]) -> list[bool]:
    """Of each dialogue whether neither it nor its group was fitted to."""
    dialogues, groups = card.seen
    return [
        digest_of(one) not in dialogues and not (one.group and digest(one.group) in groups)
        for one in labelled
    ]
