"""Two evaluations of the same questions, question by question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

from ullage.errors import InputError
from ullage.kinds.evaluate.dataset import Questions
from ullage.kinds.evaluate.gathered import RIGHT, UNSCORED, WRONG, Gathered, gather
from ullage.kinds.evaluate.outcomes import Outcome, read_outcomes
from ullage.kinds.evaluate.section import Section
from ullage.measures.proportions import mcnemar
from ullage.measures.telling_apart import paired_difference
from ullage.phases.blocks import own_section
from ullage.records.folder import RunFolder
from ullage.workloads.recorded import workload_of_run
from ullage.workloads.wholeness import finished

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PairedLabel(TypedDict):
    """Questions that one label of both runs decides on: accuracy of each run, how many only one has right,
    and how likely so large a difference is by chance (McNemar's exact test)."""

    label: str
    questions: int
    first: float | None
    second: float | None
    only_first_right: int
    only_second_right: int
    p_value: float | None


class PairedMeasure(TypedDict):
    """By how much a measure's AUROC is larger in the second run, with the bootstrap's interval of 95 % over
    the questions that both have; `reason` says why there is none."""

    label: str
    measure: str
    questions: int
    difference: float | None
    low: float | None
    high: float | None
    reason: str


class PairedEvaluations(TypedDict):
    """Two runs, paired by the id of their questions; `unpaired` questions are in one of them alone."""

    questions: int
    unpaired: int
    labels: list[PairedLabel]
    measures: list[PairedMeasure]


@dataclass(frozen=True, slots=True)
class _Side:
    """One run: numbers of each question, and its questions' ids in their order."""

    found: Gathered
    places: dict[str, int]


def paired(first: Path, second: Path, base: str | Path | None = None) -> PairedEvaluations:
    """Raises InputError where one is no evaluation, or they have no question in common."""
    with TemporaryDirectory() as name:
        one, other = (_side(folder, Path(name) / str(at), base) for at, folder in enumerate((first, second)))
        both = [identity for identity in one.places if identity in other.places]
        if not both:
            raise InputError(f"{first} and {second} have no question in common: no id is in both")
        at = [one.places[each] for each in both], [other.places[each] for each in both]
        labels = [label for label in one.found.labels if label in other.found.labels]
        return {
            "questions": len(both),
            "unpaired": len(one.places) + len(other.places) - 2 * len(both),
            "labels": [_label(label, one, other, at) for label in labels],
            "measures": [each for label in labels for each in _measures(label, one, other, at)],
        }


Places = tuple[list[int], list[int]]


def _side(folder: Path, columns: Path, base: str | Path | None) -> _Side:
    held = RunFolder(folder)
    finished(held)
    workload, found_base = workload_of_run(held, base=base)
    if workload.kind != "evaluate":
        raise InputError(f"{folder}: is a run of kind {workload.kind}; only evaluations are compared")
    section = own_section(workload, Section)
    questions = Questions(section, found_base)
    columns.mkdir()
    places: dict[str, int] = {}

    def noted() -> Iterator[Outcome]:
        for outcome in read_outcomes(folder, workload, section, questions):
            places[outcome.question.id] = len(places)
            yield outcome

    return _Side(gather(noted(), section, columns), places)


def _column(side: _Side, label: str, at: list[int]) -> NDArray[np.uint8]:
    import numpy as np

    return np.frombuffer(bytes(side.found.labels[label]), np.uint8)[at]


def _label(label: str, one: _Side, other: _Side, at: Places) -> PairedLabel:
    first, second = _column(one, label, at[0]), _column(other, label, at[1])
    both = (first != UNSCORED) & (second != UNSCORED)
    first, second, count = first[both], second[both], int(both.sum())
    only_first = int(((first == RIGHT) & (second == WRONG)).sum())
    only_second = int(((first == WRONG) & (second == RIGHT)).sum())
    return {
        "label": label,
        "questions": count,
        "first": float((first == RIGHT).mean()) if count else None,
        "second": float((second == RIGHT).mean()) if count else None,
        "only_first_right": only_first,
        "only_second_right": only_second,
        "p_value": mcnemar(only_first, only_second) if count else None,
    }


def _measures(label: str, one: _Side, other: _Side, at: Places) -> list[PairedMeasure]:
    import numpy as np

    first, second = _column(one, label, at[0]), _column(other, label, at[1])
    rows: list[PairedMeasure] = []
    for name in one.found.uncertainty.names:
        if name not in other.found.uncertainty.names:
            continue
        values = one.found.uncertainty[name][at[0]], other.found.uncertainty[name][at[1]]
        both = (first != UNSCORED) & (second != UNSCORED) & ~np.isnan(values[0]) & ~np.isnan(values[1])
        told = paired_difference(
            (first[both] == WRONG, values[0][both]), (second[both] == WRONG, values[1][both])
        )
        rows.append(
            {
                "label": label,
                "measure": name,
                "questions": told.answers,
                "difference": None if told.value is None else -told.value,
                "low": None if told.high is None else -told.high,
                "high": None if told.low is None else -told.low,
                "reason": told.reason,
            }
        )
    return rows
