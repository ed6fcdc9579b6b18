"""What fits, evaluations, drift and scores are told as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ullage.documents import document
from ullage.probes.card import Card, Origin
from ullage.probes.evaluation import Flagged, Told
from ullage.probes.fitting import Fit
from ullage.probes.parts import PARTS
from ullage.probes.probe import layer_of


@dataclass(frozen=True, slots=True)
class SweptDocument:
    """One point of the sweep."""

    sites: tuple[str, ...]
    strength: Annotated[float, Field(serialization_alias="lambda")]
    auroc: float
    fit: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Shuffled:
    """AUROC with labels that say nothing, over so many draws."""

    draws: int
    mean: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class FitDocument:
    """A fit, and what it comes to: `test`, beside chance (`shuffled`) and words alone; `without_roles` with
    system messages taken out, None where that was not tried; AUROC by the set fitted to and the one tested
    on (`transfer`)."""

    out: str
    model: str
    method: str
    sites: tuple[str, ...]
    layers: tuple[int | None, ...]
    strength: Annotated[float | None, Field(serialization_alias="lambda")]
    fit: Mapping[str, float]
    parts: Mapping[str, int]
    left_out: int
    sweep: tuple[SweptDocument, ...]
    test: Told
    flagged: Flagged
    shuffled: Shuffled
    words: Told
    without_roles: Told | None
    transfer: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class EvaluatedProbe:
    """One probe of an evaluation; AUROC by `sets` where there are several."""

    probe: str
    method: str
    test: Told
    flagged: Flagged | None
    sets: Mapping[str, float | None]
    warnings: tuple[str, ...]
    without_roles: Told | None


@dataclass(frozen=True, slots=True)
class EvaluationDocument:
    """Probes on dialogues that they have not seen."""

    labels: str
    model: str
    probes: tuple[EvaluatedProbe, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One precision: how its scores lie beside those of the first, `shift` and `moved` in standard deviations
    of those; `threshold` is what label 0 of this precision would set, `flagged` by the card's."""

    precision: str
    test: Told
    threshold: float
    flagged: Flagged | None
    correlation: float
    shift: float
    moved: float


@dataclass(frozen=True, slots=True)
class DriftDocument:
    """A probe on the same dialogues in several precisions."""

    probe: str
    labels: str
    model: str
    rows: tuple[DriftRow, ...]


@dataclass(frozen=True, slots=True)
class AppliedProbe:
    """What one probe makes of texts: how many it flagged, None without a threshold."""

    probe: str
    name: str
    threshold: float | None
    false_positive_rate: float | None
    control: str
    flagged: int | None
    unscored: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoresDocument:
    """Texts that were read once, with the file of their scores."""

    texts: str
    model: str
    out: str
    run: str
    dialogues: int
    tokens: int
    empty: int
    left_out: int
    probes: tuple[AppliedProbe, ...]


def fit_document(
    fit: Fit, card: Card, out: str, left_out: int, bare: Told | None = None
) -> dict[str, object]:
    """The document `probe-fit`; `bare` is how it did with system messages taken out, where that was tried."""
    chance = fit.shuffled
    said = FitDocument(
        out,
        card.origin.model,
        card.method,
        fit.probe.sites,
        tuple(layer_of(site) for site in fit.probe.sites),
        card.strength,
        fit.notes,
        {name: int(part.sum()) for name, part in zip(PARTS, fit.parts, strict=True)},
        left_out,
        tuple(SweptDocument(each.sites, each.strength, each.auroc, each.notes) for each in fit.swept),
        fit.told,
        fit.flagged,
        Shuffled(len(chance), sum(chance) / len(chance), min(chance), max(chance)),
        fit.words,
        bare,
        fit.transfer,
    )
    return document("probe-fit", FitDocument, said)


def evaluation_document(
    labels: str, origin: Origin, rows: Sequence[EvaluatedProbe], left_out: int
) -> dict[str, object]:
    """The document `probe-evaluation`."""
    said = EvaluationDocument(labels, origin.model, tuple(rows), left_out)
    return document("probe-evaluation", EvaluationDocument, said)
