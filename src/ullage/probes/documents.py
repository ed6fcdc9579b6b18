"""What fits and evaluations are told as, for JSON and for pages."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ullage.probes.card import Card, Origin
from ullage.probes.evaluation import Flagged, Told
from ullage.probes.fitting import Fit
from ullage.probes.parts import PARTS
from ullage.probes.probe import layer_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def fit_document(
    fit: Fit, card: Card, out: str, left_out: int, bare: Told | None = None
) -> dict[str, object]:
    """The document `probe-fit`; `bare` is how it did with system messages taken out, where that was tried."""
    chance = fit.shuffled
    return {
        "document": "probe-fit",
        "version": 1,
        "out": out,
        "model": card.origin.model,
        "method": card.method,
        "sites": list(fit.probe.sites),
        "layers": [layer_of(site) for site in fit.probe.sites],
        "lambda": card.strength,
        "fit": dict(fit.notes),
        "parts": {name: int(part.sum()) for name, part in zip(PARTS, fit.parts, strict=True)},
        "left_out": left_out,
        "sweep": [
            {"sites": list(each.sites), "lambda": each.strength, "auroc": each.auroc, "fit": dict(each.notes)}
            for each in fit.swept
        ],
        "test": asdict(fit.told),
        "flagged": asdict(fit.flagged),
        "shuffled": {
            "draws": len(chance),
            "mean": sum(chance) / len(chance),
            "least": min(chance),
            "most": max(chance),
        },
        "words": asdict(fit.words),
        "without_roles": None if bare is None else asdict(bare),
        "transfer": {name: dict(row) for name, row in fit.transfer.items()},
    }


def evaluated_row(
    name: str,
    card: Card,
    told: Told,
    found: Flagged | None,
    by_set: Mapping[str, float | None],
    warnings: Sequence[str],
) -> dict[str, object]:
    """One probe of the document `probe-evaluation`."""
    return {
        "probe": name,
        "method": card.method,
        "test": asdict(told),
        "flagged": None if found is None else asdict(found),
        "sets": dict(by_set),
        "warnings": list(warnings),
        "without_roles": None,
    }


def evaluation_document(
    labels: str, origin: Origin, rows: Sequence[Mapping[str, object]], left_out: int
) -> dict[str, object]:
    """The document `probe-evaluation`."""
    return {
        "document": "probe-evaluation",
        "version": 1,
        "labels": labels,
        "model": origin.model,
        "probes": list(rows),
        "left_out": left_out,
    }
