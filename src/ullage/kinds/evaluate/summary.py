"""What a finished evaluation comes to, as scores.json holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from ullage.kinds.evaluate.checked import JudgeCheck
    from ullage.kinds.evaluate.headline import Headline


class Reason(TypedDict):
    """Why a question has no answer, or an answer no verdict."""

    id: str
    reason: str


class Counts(TypedDict):
    """Answers of one label; `accuracy` is the share of the scored ones that is right."""

    right: int
    wrong: int
    unscored: int
    accuracy: float | None


class Agreement(TypedDict):
    """Two labels side by side; `table` counts answers, right before wrong, rows by the first label."""

    labels: list[str]
    answers: int
    agree: float | None
    kappa: float | None
    table: list[list[int]]


class ScoreRow(TypedDict):
    """One score with its 95 % interval; `reason` says why there is none."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    answers: int
    mistakes: int
    reason: str


class Scored(TypedDict):
    """How well one measure of uncertainty tells the mistakes of one label."""

    label: str
    uncertainty: str
    scores: list[ScoreRow]


class PrefixRow(ScoreRow):
    """The AUROC of the first `tokens` alone."""

    tokens: int


class Summary(TypedDict):
    """Everything, by label where it depends on who judged."""

    headline: Headline | None
    questions: int
    failed: list[Reason]
    labels: dict[str, Counts]
    means: dict[str, float | None]
    unscored: dict[str, list[Reason]]
    agreement: list[Agreement]
    calibration: dict[str, dict[str, float]]
    judge_checks: dict[str, JudgeCheck]
    scores: list[Scored]
    prefixes: dict[str, list[PrefixRow]]
