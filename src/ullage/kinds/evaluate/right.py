"""How many answers are right, in a line for each label: what a run ends with on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ullage.kinds.evaluate.gathered import RIGHT, WRONG, labels_of
from ullage.kinds.evaluate.outcomes import read_outcomes
from ullage.kinds.evaluate.questions import Question
from ullage.kinds.evaluate.section import Section
from ullage.measures.proportions import wilson
from ullage.spec.workload import Workload


def right_answers(
    folder: Path, workload: Workload, section: Section, questions: Iterable[Question]
) -> list[str]:
    """By each judge, their vote and each metric; samples are not read for it."""
    counts: dict[str, Counter[int]] = {}
    for one in read_outcomes(folder, workload, section.model_copy(update={"samples": 0}), questions):
        for name, label in labels_of(one, section).items():
            counts.setdefault(name, Counter())[label] += 1
    return [_line(name, found) for name, found in counts.items()]


def _line(label: str, found: Counter[int]) -> str:
    scored = found[RIGHT] + found[WRONG]
    interval = wilson(found[RIGHT], scored)
    if interval is None:
        return f"right by {label}: no answer is scored, of {found.total():,}"
    low, high = interval
    unscored = f"; {found.total() - scored:,} unscored" if found.total() > scored else ""
    share = f"{found[RIGHT] / scored:.1%} of {scored:,} answers"
    return f"right by {label}: {share} ({low:.1%} to {high:.1%}){unscored}"
