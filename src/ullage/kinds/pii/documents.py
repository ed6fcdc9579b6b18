"""What a verification prints, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ullage.documents import document
from ullage.kinds.pii.calibration import Calibration
from ullage.kinds.pii.summary import Compared, Summary


@dataclass(frozen=True, slots=True)
class Comparison:
    """Verifications of the same file, a row each."""

    runs: tuple[Compared, ...]


DOCUMENTS: Final = {"pii": Summary, "pii-comparison": Comparison, "calibration": Calibration}


def summary_document(found: Summary) -> dict[str, object]:
    return document("pii", Summary, found)


def comparison_document(rows: Sequence[Compared]) -> dict[str, object]:
    return document("pii-comparison", Comparison, Comparison(tuple(rows)))


def calibration_document(found: Calibration) -> dict[str, object]:
    return document("calibration", Calibration, found)
