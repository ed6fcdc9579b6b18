"""From what a run kept to everything known of each question: metrics, judgements, uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ullage.engines.engine import Reply
from ullage.kinds.evaluate.accuracy import METRICS
from ullage.kinds.evaluate.answers import Answer, read_answers
from ullage.kinds.evaluate.judging import Judgement, Judging
from ullage.kinds.evaluate.meaning import clusters
from ullage.kinds.evaluate.questions import Question
from ullage.kinds.evaluate.section import Section, judges
from ullage.measures import uncertainty
from ullage.records.lines import read_lines
from ullage.spec.workload import Workload

KeptRow = Mapping[str, Any]
"""A line of a stage; which fields it has, its stage decides."""


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
    rows = partial(_rows, folder)
    greedy, samples = read_answers(rows("greedy")), read_answers(rows("samples"))
    judged = {name: {row["key"]: row for row in rows(name)} for name in judges(workload)}
    truth = {row["key"]: row for row in rows("p_true")}
    related = {(row["index"], row["sample"]): row for row in rows("similarity") if "failed" not in row}
    implied = _implied(rows("entailment"))
    several: dict[int, list[Answer]] = {}
    for _, answer in sorted(samples.items()):
        several.setdefault(answer.index, []).append(answer)
    found = []
    for index, question in enumerate(questions):
        answer = greedy.get((index, 0), Answer(index, 0, failed="it was not asked"))
        drawn = tuple(one for one in several.get(index, ()) if not one.failed)
        meanings = tuple(clusters([one.text for one in drawn], implied.get(index, {})))
        relevance = {
            one.sample: uncertainty.token_relevance(related[index, one.sample]["tokens"])
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
        doubts = _uncertainty(answer, drawn, meanings, relevance, alike, truth.get(index))
        found.append(
            Outcome(
                question,
                answer,
                drawn,
                metrics,
                judgements,
                doubts,
                tuple(relevance.get(0, ())),
                meanings,
            )
        )
    return found


def _rows(folder: Path, stage: str) -> Iterable[KeptRow]:
    return read_lines(folder / f"{stage}.jsonl")


def _implied(rows: Iterable[KeptRow]) -> dict[int, dict[tuple[str, str], bool]]:
    """By question: whether the first of two texts implies the second."""
    found: dict[int, dict[tuple[str, str], bool]] = {}
    for row in rows:
        index, first, second = row["key"]
        if "scores" in row:
            found.setdefault(index, {})[first, second] = row["scores"][0] > row["scores"][1]
    return found


def _metric(name: str, text: str, question: Question, section: Section) -> float:
    """A question without references is answered by saying so, in words of the section's or in none."""
    if not question.references and not text.strip():
        return 1.0
    return METRICS[name](text, question.references or section.unknown)


def _judgement(row: KeptRow | None, section: Section, failed: str) -> Judgement:
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
    truth: KeptRow | None,
) -> dict[str, float | None]:
    """Every measure by its name, larger meaning less certain; None where what it needs is not there."""
    found: dict[str, float | None] = {}
    known = not answer.failed
    logprobs, entropies = answer.logprobs, answer.entropies
    found["length"] = float(answer.length) if known else None
    found["G-NLL"] = uncertainty.nll(logprobs) if logprobs else None
    found["mean NLL"] = uncertainty.mean_nll(logprobs) if logprobs else None
    for name, weighting in uncertainty.WEIGHTINGS.items():
        if name != "uniform":  # that one is the mean
            found[f"NLL, {name}"] = uncertainty.weighted_nll(logprobs, weighting) if logprobs else None
    found["mean entropy"] = uncertainty.mean_entropy(entropies) if entropies else None
    found["max entropy"] = uncertainty.max_entropy(entropies) if entropies else None
    if drawn:
        likelihoods = [one.logprobs for one in drawn]
        whole = all(likelihoods)
        found["predictive entropy"] = uncertainty.predictive_entropy(likelihoods) if whole else None
        found["mean predictive entropy"] = (
            uncertainty.predictive_entropy(likelihoods, True) if whole else None
        )
        found["semantic entropy"] = uncertainty.semantic_entropy(likelihoods, meanings) if whole else None
        found["discrete semantic entropy"] = uncertainty.discrete_semantic_entropy(meanings)
    if 0 in relevance and logprobs:
        found["relevance G-NLL"] = _relevance_nll(answer, relevance[0])
    if drawn and len(alike) == len(drawn) and all(one.logprobs for one in drawn):
        near = [[alike[a.sample][str(b.sample)] for b in drawn] for a in drawn]
        found["SentSAR"] = uncertainty.sentence_sar([uncertainty.nll(one.logprobs) for one in drawn], near)
        tokens = [_relevance_nll(one, relevance[one.sample]) for one in drawn]
        found["SAR"] = uncertainty.sentence_sar(tokens, near)
    if truth is not None and "scores" in truth:
        found["1 - P(True)"] = uncertainty.p_true(*truth["scores"])
    return found


def _relevance_nll(answer: Answer, relevance: Sequence[float]) -> float:
    """Relevance is of tokens with a text; the ending's own probability has none."""
    return uncertainty.relevance_nll(answer.logprobs[: len(relevance)], relevance)
