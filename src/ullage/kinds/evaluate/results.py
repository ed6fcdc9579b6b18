"""A table of one row a question, and how well each uncertainty tells mistakes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ullage.fields import Fields
from ullage.kinds.evaluate.checked import JudgeCheck, judge_checks
from ullage.kinds.evaluate.dataset import Questions
from ullage.kinds.evaluate.gathered import PREFIXES, RIGHT, UNSCORED, WRONG, Gathered, gather
from ullage.kinds.evaluate.headline import headline
from ullage.kinds.evaluate.outcomes import read_outcomes
from ullage.kinds.evaluate.report import Freed, Spent, write_report
from ullage.kinds.evaluate.section import Section, judges
from ullage.kinds.evaluate.summary import Agreement, Counts, PrefixRow, ScoreRow, Summary
from ullage.kinds.evaluate.table import write_table
from ullage.measures.agreement import kappa
from ullage.measures.calibration import calibration_error
from ullage.measures.telling_apart import Score, scores
from ullage.phases.blocks import own_section
from ullage.records.atomic import write_json
from ullage.records.fits import fits_in
from ullage.records.folder import RunFolder
from ullage.records.record import ENDED, Record
from ullage.records.timeline import planned_live
from ullage.spec.workload import Workload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TABLE = "results.parquet"
SUMMARY = "scores.json"


def summary(found: Gathered, checks: dict[str, JudgeCheck]) -> Summary:
    """Accuracy, agreement and scores, as JSON. Everything says on how many answers it stands."""
    return {
        "headline": headline(found, checks),
        "questions": found.questions,
        "failed": found.failed,
        "labels": {name: _counts(column) for name, column in found.labels.items()},
        "means": {metric: _mean(found.metrics[metric]) for metric in found.section.metrics},
        "unscored": found.unscored,
        "agreement": _agreement(found.labels),
        "calibration": {label: _calibration(found, label) for label in found.labels},
        "judge_checks": checks,
        "scores": [
            {"label": label, "uncertainty": name, "scores": [_score_row(one) for one in rows]}
            for label in found.labels
            for name in found.uncertainty.names
            for rows in [scores(*found.scored(label, found.uncertainty[name]))]
        ],
        "prefixes": {label: _prefixes(found, label) for label in found.labels},
    }


def _counts(column: bytearray) -> Counts:
    right, mistakes = column.count(RIGHT), column.count(WRONG)
    scored = right + mistakes
    return {
        "right": right,
        "wrong": mistakes,
        "unscored": len(column) - scored,
        "accuracy": right / scored if scored else None,
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[values == values]  # what is not known is NaN
    return math.fsum(known) / len(known) if len(known) else None


def _agreement(labels: Mapping[str, bytearray]) -> list[Agreement]:
    """Each two labels: how many answers both decide on, how often they agree, Cohen's kappa, a 2x2 table."""
    found: list[Agreement] = []
    for one, other in combinations(labels, 2):
        pairs = Counter(zip(labels[one], labels[other], strict=True))
        both = {pair: count for pair, count in pairs.items() if UNSCORED not in pair}
        answers = sum(both.values())
        agree = sum(count for (a, b), count in both.items() if a == b)
        found.append(
            {
                "labels": [one, other],
                "answers": answers,
                "agree": agree / answers if answers else None,
                "kappa": kappa(both),
                "table": [[both.get((a, b), 0) for b in (RIGHT, WRONG)] for a in (RIGHT, WRONG)],
            }
        )
    return found


def _calibration(found: Gathered, label: str) -> dict[str, float]:
    """Expected calibration error of two confidences: the answer's own probability, and P(True)."""
    import numpy as np

    doubts = found.uncertainty
    confidences = {
        "answer probability": ("G-NLL", lambda doubt: math.exp(-doubt)),
        "P(True)": ("1 - P(True)", lambda doubt: 1 - doubt),
    }
    errors: dict[str, float] = {}
    for name, (doubt, confidence) in confidences.items():
        wrong, values = found.scored(label, doubts[doubt])
        if len(wrong):
            certain = np.fromiter(map(confidence, values), float, len(values))
            errors[name] = calibration_error(map(float, certain), map(bool, ~wrong))
    return errors


def _score_row(score: Score) -> ScoreRow:
    return {
        "name": score.name,
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "answers": score.answers,
        "mistakes": score.mistakes,
        "reason": score.reason,
    }


def _prefixes(found: Gathered, label: str) -> list[PrefixRow]:
    """AUROC of the likelihood of the first tokens alone: how early right and wrong come apart."""
    rows: list[PrefixRow] = []
    for length in PREFIXES:
        if length > found.longest:
            break
        scored = scores(*found.scored(label, found.prefixes[str(length)]))
        (score,) = [one for one in scored if one.name == "AUROC"]
        rows.append({"tokens": length, **_score_row(score)})
    return rows


def report(run: RunFolder, workload: Workload, base: Path, record: Record) -> tuple[Path, ...]:
    """Writes a run's table, summary and page; their paths."""
    section = own_section(workload, Section)
    questions = Questions(section, base)
    with TemporaryDirectory() as columns:
        outcomes = read_outcomes(run.path, workload, section, questions)
        found = gather(outcomes, section, Path(columns))
        doubts = found.uncertainty.names
        outcomes = read_outcomes(run.path, workload, section, questions)
        write_table(run.path / TABLE, outcomes, section.metrics, judges(workload), doubts)
        told = summary(found, judge_checks(run.path, workload, section))
        write_json(run.path / SUMMARY, told)
        page = write_report(run.path, workload, found, told, _spent(run, record))
    return run.path / TABLE, run.path / SUMMARY, page


def _spent(run: RunFolder, record: Record) -> Spent:
    plan = Fields(run.manifest().plan, f"{run.path}: the plan in manifest.json")
    hourly = plan.inner("cost").number("usd_per_hour") if plan.value("cost") else None
    outcome = Fields(record.outcome, f"{run.path}: the record's outcome")
    asked = outcome.inner("usage") if "usage" in outcome else Fields({}, outcome.where)
    usage = {role: asked.inner(role).numbers() for role in asked.values}
    freed = [*_freed(outcome)] if "freed" in outcome else []
    planned = planned_live(plan)
    return Spent(record.seconds, hourly, usage, freed, planned, _made(run, record), fits_in(record.outcome))


def _freed(outcome: Fields) -> Iterator[Freed]:
    for each in outcome.each("freed"):
        before, after = each.inner("before"), each.inner("after")
        for device in before.values:
            yield Freed(each.text("role"), device, before.whole_or_none(device), after.whole_or_none(device))


def _made(run: RunFolder, record: Record) -> str:
    """With what and when, in a line."""
    here = record.environment
    outcome = Fields(record.outcome, f"{run.path}: the record's outcome")
    ended = f"; ended {outcome.text(ENDED)}" if ENDED in outcome else ""
    told = f"ullage {here.ullage}, torch {here.torch}, transformers {here.transformers}, Python {here.python}"
    return f"{told}; {here.gpu}, driver {here.driver}{ended}."
