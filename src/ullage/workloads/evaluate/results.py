"""From what a run kept to one row a question, and how well each uncertainty tells mistakes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ullage.engines.engine import Reply
from ullage.records.atomic import write_json, write_with
from ullage.records.folder import RunFolder
from ullage.records.lines import read_lines
from ullage.spec.workload import Workload
from ullage.workloads.evaluate import measures
from ullage.workloads.evaluate.accuracy import METRICS
from ullage.workloads.evaluate.answers import Answer, read_answers
from ullage.workloads.evaluate.dataset import open_questions
from ullage.workloads.evaluate.judging import Judgement, Judging, cohens_kappa, vote
from ullage.workloads.evaluate.meaning import clusters
from ullage.workloads.evaluate.questions import Question
from ullage.workloads.evaluate.report import write_report
from ullage.workloads.evaluate.scores import Score, scores
from ullage.workloads.evaluate.section import Section, judges
from ullage.workloads.stages import own_section

TABLE = "results.parquet"
SUMMARY = "scores.json"
PREFIXES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Lengths of prefixes whose likelihood is scored."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question with everything known of its answers; None where something is not known."""

    question: Question
    greedy: Answer
    samples: tuple[Answer, ...]
    metrics: Mapping[str, float | None]
    judgements: Mapping[str, Judgement]
    uncertainty: Mapping[str, float | None]
    relevance: tuple[float, ...]
    meanings: tuple[int, ...]


def read_outcomes(
    folder: Path, workload: Workload, section: Section, questions: Sequence[Question]
) -> list[Outcome]:
    """Everything a run's files say, question by question."""

    def rows(stage: str) -> Iterable[dict[str, Any]]:
        return read_lines(folder / f"{stage}.jsonl")

    greedy, samples = read_answers(rows("greedy")), read_answers(rows("samples"))
    judged = {name: {row["key"]: row for row in rows(name)} for name in judges(workload)}
    truth = {row["key"]: row for row in rows("p_true")}
    related = {(row["index"], row["sample"]): row for row in rows("similarity") if "failed" not in row}
    implied: dict[int, dict[tuple[str, str], bool]] = {}
    for row in rows("entailment"):
        index, first, second = row["key"]
        if "scores" in row:
            implied.setdefault(index, {})[first, second] = row["scores"][0] > row["scores"][1]
    several: dict[int, list[Answer]] = {}
    for _, answer in sorted(samples.items()):
        several.setdefault(answer.index, []).append(answer)
    found = []
    for index, question in enumerate(questions):
        answer = greedy.get((index, 0), Answer(index, 0, failed="it was not asked"))
        drawn = tuple(one for one in several.get(index, ()) if not one.failed)
        meanings = tuple(clusters([one.text for one in drawn], implied.get(index, {})))
        relevance = {
            one.sample: measures.token_relevance(related[index, one.sample]["tokens"])
            for one in (answer, *drawn)
            if (index, one.sample) in related
        }
        alike = {
            one.sample: related[index, one.sample]["samples"]
            for one in drawn
            if (index, one.sample) in related
        }
        metrics: dict[str, float | None] = {
            name: None if answer.failed else _metric(name, answer.text, question, section)
            for name in section.metrics
        }
        judgements = {name: _judgement(judged[name].get(index), section, answer.failed) for name in judged}
        uncertainty = _uncertainty(answer, drawn, meanings, relevance, alike, truth.get(index))
        found.append(
            Outcome(
                question,
                answer,
                drawn,
                metrics,
                judgements,
                uncertainty,
                tuple(relevance.get(0, ())),
                meanings,
            )
        )
    return found


def _metric(name: str, text: str, question: Question, section: Section) -> float:
    """A question without references is answered by saying so, in words of the section's or in none."""
    if not question.references and not text.strip():
        return 1.0
    return METRICS[name](text, question.references or section.unknown)


def _judgement(row: Mapping[str, Any] | None, section: Section, failed: str) -> Judgement:
    if row is None:
        return Judgement(None, reason=failed or "it was not judged")
    if "failed" in row:
        return Judgement(None, reason=row["failed"])
    judging = Judging(section.verdicts)
    if "scores" in row:
        return judging.weighed(tuple(row["scores"]))
    return judging.parsed(Reply(row["text"], "end", 0))


def _uncertainty(
    answer: Answer,
    drawn: Sequence[Answer],
    meanings: Sequence[int],
    relevance: Mapping[int, Sequence[float]],
    alike: Mapping[int, Mapping[str, float]],
    truth: Mapping[str, Any] | None,
) -> dict[str, float | None]:
    """Every measure by its name, larger meaning less certain; None where what it needs is not there."""
    found: dict[str, float | None] = {}
    known = not answer.failed
    logprobs, entropies = answer.logprobs, answer.entropies
    found["length"] = float(answer.length) if known else None
    found["G-NLL"] = measures.nll(logprobs) if logprobs else None
    found["mean NLL"] = measures.mean_nll(logprobs) if logprobs else None
    for name, weighting in measures.WEIGHTINGS.items():
        if name != "uniform":  # that one is the mean
            found[f"NLL, {name}"] = measures.weighted_nll(logprobs, weighting) if logprobs else None
    found["mean entropy"] = measures.mean_entropy(entropies) if entropies else None
    found["max entropy"] = measures.max_entropy(entropies) if entropies else None
    if drawn:
        likelihoods = [one.logprobs for one in drawn]
        whole = all(likelihoods)
        found["predictive entropy"] = measures.predictive_entropy(likelihoods) if whole else None
        found["mean predictive entropy"] = measures.predictive_entropy(likelihoods, True) if whole else None
        found["semantic entropy"] = measures.semantic_entropy(likelihoods, meanings) if whole else None
        found["discrete semantic entropy"] = measures.discrete_semantic_entropy(meanings)
    if 0 in relevance and logprobs:
        found["relevance G-NLL"] = _relevance_nll(answer, relevance[0])
    if drawn and len(alike) == len(drawn) and all(one.logprobs for one in drawn):
        near = [[alike[a.sample][str(b.sample)] for b in drawn] for a in drawn]
        found["SentSAR"] = measures.sentence_sar([measures.nll(one.logprobs) for one in drawn], near)
        tokens = [_relevance_nll(one, relevance[one.sample]) for one in drawn]
        found["SAR"] = measures.sentence_sar(tokens, near)
    if truth is not None and "scores" in truth:
        found["1 - P(True)"] = measures.p_true(*truth["scores"])
    return found


def _relevance_nll(answer: Answer, relevance: Sequence[float]) -> float:
    """Relevance is of tokens with a text; the ending's own probability has none."""
    return measures.relevance_nll(answer.logprobs[: len(relevance)], relevance)


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


def summary(outcomes: Sequence[Outcome], section: Section) -> dict[str, Any]:
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
            {"label": label, "uncertainty": name, "scores": [asdict(one) for one in found]}
            for label, column in wrong.items()
            for name in names
            for found in [_scored(column, [one.uncertainty.get(name) for one in outcomes])]
        ],
        "prefixes": {label: _prefixes(outcomes, column) for label, column in wrong.items()},
    }


def _counts(column: Sequence[bool | None]) -> dict[str, Any]:
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


def _agreement(wrong: Mapping[str, Sequence[bool | None]]) -> list[dict[str, Any]]:
    """Each two labels: how many answers both decide on, how often they agree, Cohen's kappa, a 2x2 table."""
    found = []
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
    import numpy as np

    from ullage.workloads.evaluate.scores import expected_calibration_error

    confidences = {
        "answer probability": [
            None if (nll := one.uncertainty.get("G-NLL")) is None else math.exp(-nll) for one in outcomes
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
                labels_, sure = np.asarray(both, float).T
                found[label][name] = expected_calibration_error(labels_, sure)
    return found


def _scored(column: Sequence[bool | None], values: Sequence[float | None]) -> list[Score]:
    both = [(w, v) for w, v in zip(column, values, strict=True) if w is not None and v is not None]
    return scores([w for w, _ in both], [v for _, v in both])


def _prefixes(outcomes: Sequence[Outcome], column: Sequence[bool | None]) -> list[dict[str, Any]]:
    """AUROC of the likelihood of the first tokens alone: how early right and wrong come apart."""
    longest = max((len(one.greedy.logprobs) for one in outcomes), default=0)
    found = []
    for length in PREFIXES:
        if length > longest:
            break
        values = [
            measures.nll(one.greedy.logprobs[:length]) if one.greedy.logprobs else None for one in outcomes
        ]
        (score,) = [one for one in _scored(column, values) if one.name == "AUROC"]
        found.append({"tokens": length, **asdict(score)})
    return found


def report(run: RunFolder, workload: Workload, base: Path) -> tuple[Path, ...]:
    """Writes a finished run's table, summary and page anew; their paths."""
    section = own_section(workload, Section)
    _, questions = open_questions(section, base)
    outcomes = read_outcomes(run.path, workload, section, questions)
    found = summary(outcomes, section)
    _write_table(run.path / TABLE, outcomes)
    write_json(run.path / SUMMARY, found)
    record, cost = run.record(), run.manifest()["plan"]["cost"]
    known = {
        **record["outcome"],
        "seconds": record["seconds"],
        "usd_per_hour": cost["usd_per_hour"] if cost else None,
    }
    page = write_report(run.path, workload, outcomes, labels(outcomes, section), found, known)
    return run.path / TABLE, run.path / SUMMARY, page


def _write_table(path: Path, outcomes: Sequence[Outcome]) -> None:
    """One row a question; judges, metrics and measures each in a column of their own."""
    import pyarrow
    import pyarrow.parquet

    rows = []
    for one in outcomes:
        row: dict[str, Any] = {
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
    write_with(path, lambda temporary: pyarrow.parquet.write_table(table, temporary))
