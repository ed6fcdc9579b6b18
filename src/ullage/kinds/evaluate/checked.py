"""How well a judge judges answers whose verdicts are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from ullage.fields import Fields
from ullage.kinds.evaluate.outcomes import judgement_of
from ullage.kinds.evaluate.section import Section, judges
from ullage.kinds.evaluate.stages import check_stage
from ullage.measures.proportions import wilson
from ullage.records.lines import standing_rows
from ullage.workloads.judgement import RIGHT, Judgement

if TYPE_CHECKING:
    from ullage.measures.telling_apart import Score
    from ullage.spec.workload import Workload

CHECKS: Final = "judge_checks"
"""The field of a record's outcome."""
RELIABLE: Final = 0.8
"""A judge is reliable whose share of right verdicts is at least this, at the lower end of its interval."""


class JudgeCheck(TypedDict):
    """One judge on known answers, half of them right: shares of right verdicts among the scored (Wilson's
    interval of 95 %), how well probabilities tell right answers from wrong (bootstrap), and the mean
    probability of both verdicts together.

    `reliable` is null where nothing was judged; then, and wherever a number is missing, `reason` says why.
    """

    questions: int
    answers: int
    unscored: int
    accuracy: float | None
    low: float | None
    high: float | None
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    mass: float | None
    reliable: bool | None
    reason: str


def judge_checks(folder: Path, workload: Workload, section: Section) -> dict[str, JudgeCheck]:
    """Of each judge of a run."""
    return {name: _check(folder, name, section) for name in judges(workload)}


def told_of(name: str, check: JudgeCheck) -> str:
    """One line on a judge."""
    if check["reliable"] is None:
        return f"{name}: not checked: {check['reason']}"
    if check["accuracy"] is None:
        return f"{name} is unreliable: it gave none of {check['answers']} known answers a verdict"
    found = (
        f"{check['accuracy']:.1%} of {check['answers'] - check['unscored']} known answers judged right "
        f"({check['low']:.1%} to {check['high']:.1%})"
    )
    if check["unscored"]:
        found += f", {check['unscored']} unscored"
    if check["auroc"] is not None:
        found += f", AUROC {check['auroc']:.3f}"
    if check["mass"] is not None:
        found += f", both verdicts together have a probability of {check['mass']:.2f}"
    called = "reliable" if check["reliable"] else "unreliable"
    few = f"; {check['reason']}" if check["reason"] else ""
    return f"{name} is {called}: {found}{few}"


def _check(folder: Path, name: str, section: Section) -> JudgeCheck:
    if not section.judge_check:
        return _none("judge_check is 0")
    stage = check_stage(name)
    if not (folder / f"{stage}.jsonl").is_file():
        return _none("the run was made before judges were checked")
    right: list[bool] = []
    judged: list[Judgement] = []
    for row in standing_rows(folder, stage):
        right.append(Fields(row, f"{folder / stage}.jsonl").array("key")[-1] == RIGHT)
        judged.append(judgement_of(row, section))
    if not judged:
        return _none("no question has a reference, and another's to hold beside it")
    hits = [
        (one.verdict == section.verdicts[0]) == truth
        for one, truth in zip(judged, right, strict=True)
        if one.verdict is not None
    ]
    interval = wilson(sum(hits), len(hits))
    low, high = interval or (None, None)
    questions = len(judged) // 2
    asked_for = section.judge_check
    few = f"of {asked_for} questions asked for {questions} can be used" if questions < asked_for else ""
    told = _auroc(judged, right)
    masses = [one.mass for one in judged if one.mass is not None]
    return {
        "questions": questions,
        "answers": len(judged),
        "unscored": len(judged) - len(hits),
        "accuracy": sum(hits) / len(hits) if hits else None,
        "low": low,
        "high": high,
        "auroc": told.value if told else None,
        "auroc_low": told.low if told else None,
        "auroc_high": told.high if told else None,
        "mass": math.fsum(masses) / len(masses) if masses else None,
        "reliable": low is not None and low >= RELIABLE,
        "reason": few,
    }


def _auroc(judged: Sequence[Judgement], right: Sequence[bool]) -> Score | None:
    """Of the positive verdict's probability; None where a judge writes."""
    import numpy as np

    from ullage.measures.telling_apart import scores

    known = [
        (not t, 1 - one.probability)
        for one, t in zip(judged, right, strict=True)
        if one.probability is not None
    ]
    if not known:
        return None
    wrong, doubts = zip(*known, strict=True)
    found = scores(np.array(wrong, bool), np.array(doubts, float))
    return next(one for one in found if one.name == "AUROC")


def _none(reason: str) -> JudgeCheck:
    return {
        "questions": 0,
        "answers": 0,
        "unscored": 0,
        "accuracy": None,
        "low": None,
        "high": None,
        "auroc": None,
        "auroc_low": None,
        "auroc_high": None,
        "mass": None,
        "reliable": None,
        "reason": reason,
    }
