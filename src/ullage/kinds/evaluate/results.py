"""A table of one row a question, and how well each uncertainty tells mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ullage.fields import Fields
from ullage.kinds.evaluate.dataset import open_questions
from ullage.kinds.evaluate.judging import vote
from ullage.kinds.evaluate.outcomes import Outcome, read_outcomes
from ullage.kinds.evaluate.report import Spent, write_report
from ullage.kinds.evaluate.section import Section
from ullage.kinds.evaluate.summary import Agreement, Counts, PrefixRow, ScoreRow, Summary
from ullage.measures.agreement import cohens_kappa
from ullage.measures.calibration import calibration_error
from ullage.measures.telling_apart import Score, scores
from ullage.measures.uncertainty import nll
from ullage.phases.blocks import own_section
from ullage.records.atomic import write_json, write_with
from ullage.records.folder import RunFolder
from ullage.records.record import Record
from ullage.spec.workload import Workload

TABLE = "results.parquet"
SUMMARY = "scores.json"
PREFIXES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Lengths of prefixes whose likelihood is scored."""


def labels(outcomes: Sequence[Outcome], section: Section) -> dict[str, list[bool | None]]:
    """Whether each answer is wrong, in the eyes of each judge, of their vote and of each metric.

    None: unscored. They are never merged into one.
    """
    found: dict[str, list[bool | None]] = {}
    names = list(outcomes[0].judgements) if outcomes else []
    for name in names:
        found[name] = [_wrong(one.judgements[name].verdict, section) for one in outcomes]
    if len(names) > 1:
        found["vote"] = [
            _wrong(vote(list(one.judgements.values()), section.verdicts), section) for one in outcomes
        ]
    for metric in section.metrics:
        needed = 1.0 if metric == "exact_match" else section.right_from
        found[metric] = [
            None if (value := one.metrics[metric]) is None else value < needed for one in outcomes
        ]
    return found


def _wrong(verdict: str | None, section: Section) -> bool | None:
    return None if verdict is None else verdict != section.verdicts[0]


def summary(outcomes: Sequence[Outcome], section: Section) -> Summary:
    """Accuracy, agreement and scores, as JSON. Everything says on how many answers it stands."""
    wrong = labels(outcomes, section)
    names = list(dict.fromkeys(name for one in outcomes for name in one.uncertainty))
    return {
        "questions": len(outcomes),
        "failed": [
            {"id": one.question.id, "reason": one.greedy.failed} for one in outcomes if one.greedy.failed
        ],
        "labels": {name: _counts(column) for name, column in wrong.items()},
        "means": {metric: _mean([one.metrics[metric] for one in outcomes]) for metric in section.metrics},
        "unscored": {
            name: [
                {"id": one.question.id, "reason": one.judgements[name].reason}
                for one in outcomes
                if one.judgements[name].verdict is None
            ]
            for name in (outcomes[0].judgements if outcomes else ())
        },
        "agreement": _agreement(wrong),
        "calibration": _calibration(outcomes, wrong),
        "scores": [
            {"label": label, "uncertainty": name, "scores": [_score_row(one) for one in found]}
            for label, column in wrong.items()
            for name in names
            for found in [_scored(column, [one.uncertainty.get(name) for one in outcomes])]
        ],
        "prefixes": {label: _prefixes(outcomes, column) for label, column in wrong.items()},
    }


def _counts(column: Sequence[bool | None]) -> Counts:
    right, mistakes = column.count(False), column.count(True)
    scored = right + mistakes
    return {
        "right": right,
        "wrong": mistakes,
        "unscored": len(column) - scored,
        "accuracy": right / scored if scored else None,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _agreement(wrong: Mapping[str, Sequence[bool | None]]) -> list[Agreement]:
    """Each two labels: how many answers both decide on, how often they agree, Cohen's kappa, a 2x2 table."""
    found: list[Agreement] = []
    names = list(wrong)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            both = [
                (a, b)
                for a, b in zip(wrong[one], wrong[other], strict=True)
                if a is not None and b is not None
            ]
            said = [["wrong" if label else "right" for label in column] for column in zip(*both, strict=True)]
            found.append(
                {
                    "labels": [one, other],
                    "answers": len(both),
                    "agree": sum(a == b for a, b in both) / len(both) if both else None,
                    "kappa": cohens_kappa(said[0], said[1]) if both else None,
                    "table": [[both.count((a, b)) for b in (False, True)] for a in (False, True)],
                }
            )
    return found


def _calibration(
    outcomes: Sequence[Outcome], wrong: Mapping[str, Sequence[bool | None]]
) -> dict[str, dict[str, float]]:
    """Expected calibration error of two confidences: the answer's own probability, and P(True)."""
    confidences = {
        "answer probability": [
            None if (doubt := one.uncertainty.get("G-NLL")) is None else math.exp(-doubt) for one in outcomes
        ],
        "P(True)": [
            None if (doubt := one.uncertainty.get("1 - P(True)")) is None else 1 - doubt for one in outcomes
        ],
    }
    found: dict[str, dict[str, float]] = {}
    for label, column in wrong.items():
        found[label] = {}
        for name, values in confidences.items():
            both = [(w, v) for w, v in zip(column, values, strict=True) if w is not None and v is not None]
            if both:
                found[label][name] = calibration_error([v for _, v in both], [not w for w, _ in both])
    return found


def _scored(column: Sequence[bool | None], values: Sequence[float | None]) -> list[Score]:
    both = [(w, v) for w, v in zip(column, values, strict=True) if w is not None and v is not None]
    return scores([w for w, _ in both], [v for _, v in both])


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


def _prefixes(outcomes: Sequence[Outcome], column: Sequence[bool | None]) -> list[PrefixRow]:
    """AUROC of the likelihood of the first tokens alone: how early right and wrong come apart."""
    longest = max((len(one.greedy.logprobs) for one in outcomes), default=0)
    found: list[PrefixRow] = []
    for length in PREFIXES:
        if length > longest:
            break
        values = [nll(one.greedy.logprobs[:length]) if one.greedy.logprobs else None for one in outcomes]
        (score,) = [one for one in _scored(column, values) if one.name == "AUROC"]
        found.append({"tokens": length, **_score_row(score)})
    return found


def report(run: RunFolder, workload: Workload, base: Path, record: Record) -> tuple[Path, ...]:
    """Writes a run's table, summary and page; their paths."""
    section = own_section(workload, Section)
    _, questions = open_questions(section, base)
    outcomes = read_outcomes(run.path, workload, section, questions)
    found = summary(outcomes, section)
    _write_table(run.path / TABLE, outcomes)
    write_json(run.path / SUMMARY, found)
    page = write_report(run.path, workload, outcomes, labels(outcomes, section), found, _spent(run, record))
    return run.path / TABLE, run.path / SUMMARY, page


def _spent(run: RunFolder, record: Record) -> Spent:
    plan = Fields(run.manifest().plan, f"{run.path}: the plan in manifest.json")
    hourly = plan.inner("cost").number("usd_per_hour") if plan.value("cost") else None
    outcome = Fields(record.outcome, f"{run.path}: the record's outcome")
    asked = outcome.inner("usage") if "usage" in outcome else Fields({}, outcome.where)
    usage = {role: asked.inner(role).numbers() for role in asked.values}
    freed = [each.values for each in outcome.each("freed")] if "freed" in outcome else []
    return Spent(record.seconds, hourly, usage, freed)


def _write_table(path: Path, outcomes: Sequence[Outcome]) -> None:
    """One row a question; judges, metrics and measures each in a column of their own."""
    import pyarrow
    import pyarrow.parquet

    rows = []
    for one in outcomes:
        row: dict[str, object] = {
            "id": one.question.id,
            "question": one.question.question,
            "references": list(one.question.references),
            "answer": one.greedy.text,
            "stop": one.greedy.stop,
            "failed": one.greedy.failed or None,
            "tokens": list(one.greedy.tokens),
            "pieces": list(one.greedy.pieces),
            "offsets": [list(pair) for pair in one.greedy.offsets],
            "logprobs": list(one.greedy.logprobs),
            "entropies": list(one.greedy.entropies),
            "relevance": list(one.relevance),
            "samples": [sample.text for sample in one.samples],
            "meanings": list(one.meanings),
        }
        row |= one.metrics
        for name, judgement in one.judgements.items():
            row[f"{name} verdict"] = judgement.verdict
            row[f"{name} probability"] = judgement.probability
            row[f"{name} reply"] = judgement.reply or None
            row[f"{name} unscored because"] = judgement.reason or None
        row |= one.uncertainty
        rows.append(row)
    table = pyarrow.Table.from_pylist(rows)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # pyarrow takes a path for an address
            pyarrow.parquet.write_table(table, file)

    write_with(path, write)
