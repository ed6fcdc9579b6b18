"""From what a run kept to everything known of each question: metrics, judgements, uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from ullage.engines.engine import Chat
from ullage.kinds.evaluate.accuracy import METRICS
from ullage.kinds.evaluate.answers import Answer, answers_by_question
from ullage.kinds.evaluate.labels import is_entailed
from ullage.kinds.evaluate.meaning import ENTAILS, IMPLIES, clusters, pairs
from ullage.kinds.evaluate.questions import Question
from ullage.kinds.evaluate.section import Section, judges
from ullage.measures import uncertainty
from ullage.records.lines import standing_rows
from ullage.spec.workload import Workload
from ullage.workloads.judgement import Judgement

KeptRow = Mapping[str, Any]
"""A line of a stage; which fields it has, its stage decides."""

MEASURES: Final = (
    "length",
    "G-NLL",
    "mean NLL",
    *(f"NLL, {name}" for name in uncertainty.WEIGHTINGS if name != "uniform"),
    *("mean entropy", "max entropy", "predictive entropy", "mean predictive entropy"),
    *("semantic entropy", "discrete semantic entropy", "relevance G-NLL", "SentSAR", "SAR", "1 - P(True)"),
)
"""Measures of uncertainty that a run may have, beside the scores of probes."""


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
    prompts: Mapping[str, Chat]


class _Sought:
    """Rows by their key, of a file that was written batch by batch; each key is taken once.

    Invariant: keys are taken about in the order of the file, and only those that are in it, if there is one:
    rows that come before they are taken wait.
    """

    def __init__(self, rows: Iterable[KeptRow], key: Callable[[KeptRow], object]) -> None:
        self._rows, self._key = iter(rows), key
        self._waiting: dict[object, KeptRow] = {}

    def take(self, key: object) -> KeptRow | None:
        """The row of a key, None where there is none."""
        while key not in self._waiting:
            row = next(self._rows, None)
            if row is None:
                return None
            self._waiting[self._key(row)] = row
        return self._waiting.pop(key)


class _Kept:
    """The rows of all stages of a run, question by question."""

    def __init__(self, folder: Path, workload: Workload, section: Section) -> None:
        rows = partial(_rows, folder)
        self.section = section
        self._greedy = answers_by_question(rows("greedy"), 1)
        count = section.samples
        self._samples = answers_by_question(rows("samples"), count) if count else iter(())
        self._judged = {name: _Sought(rows(name), itemgetter("key")) for name in judges(workload)}
        self._truth = _Sought(rows("p_true"), itemgetter("key"))
        self._related = groupby(rows("similarity"), itemgetter("index"))
        self._next_related = next(self._related, None)
        self._implied = _Sought(rows("entailment"), lambda row: tuple(row["key"]))

    def answers(self, index: int) -> tuple[Answer, tuple[Answer, ...]]:
        """The greedy one, and the samples that there are."""
        greedy = next(self._greedy, None) or [Answer(index, 0, failed="it was not asked")]
        return greedy[0], tuple(one for one in next(self._samples, ()) if not one.failed)

    def judged(self, index: int, answer: Answer) -> dict[str, KeptRow | None]:
        """What each judge said of an answer; nothing of one that failed."""
        taken = {name: rows.take(index) for name, rows in self._judged.items()}
        return {name: None if answer.failed else row for name, row in taken.items()}

    def truth(self, index: int, answer: Answer) -> KeptRow | None:
        """What the generator said of its own answer."""
        taken = self._truth.take(index)
        return None if answer.failed else taken

    def related(self, index: int) -> dict[int, KeptRow]:
        """How alike each answer of a question is to others, by its sample."""
        while self._next_related is not None and self._next_related[0] < index:
            self._next_related = next(self._related, None)
        if self._next_related is None or self._next_related[0] != index:
            return {}
        return {row["sample"]: row for row in self._next_related[1] if "failed" not in row}

    def implied(self, index: int, texts: Sequence[str]) -> dict[tuple[str, str], bool]:
        """Whether the first of two texts implies the second."""
        found = {}
        for both in pairs(texts):
            row = self._implied.take((index, *both))
            if row is not None and "labels" in row:
                found[both] = is_entailed(row["labels"])
            elif row is not None and "scores" in row:
                found[both] = IMPLIES.weighed(scores_of(row)).verdict == ENTAILS[0]
        return found


def read_outcomes(
    folder: Path, workload: Workload, section: Section, questions: Iterable[Question]
) -> Iterator[Outcome]:
    """Everything a run's files say, question by question; no more than a window of them is held."""
    kept = _Kept(folder, workload, section)
    for index, question in enumerate(questions):
        answer, drawn = kept.answers(index)
        meanings = tuple(
            clusters([one.told for one in drawn], kept.implied(index, [one.told for one in drawn]))
        )
        related = kept.related(index)
        relevance = {
            one.sample: uncertainty.token_relevance(related[one.sample]["tokens"])
            for one in (answer, *drawn)
            if one.sample in related
        }
        alike = {one.sample: related[one.sample]["samples"] for one in drawn if one.sample in related}
        metrics: dict[str, float | None] = {
            name: None if answer.failed else _metric(name, answer.told, question, section)
            for name in section.metrics
        }
        judged = kept.judged(index, answer)
        judgements = {
            name: _unjudged(answer) if row is None else judgement_of(row, section)
            for name, row in judged.items()
        }
        prompts = {name: tuple(row["prompt"]) for name, row in judged.items() if row is not None}
        truth = kept.truth(index, answer)
        doubts = _uncertainty(answer, drawn, meanings, relevance, alike, truth)
        said = tuple(relevance.get(0, ()))
        yield Outcome(question, answer, drawn, metrics, judgements, doubts, said, meanings, prompts)


def _rows(folder: Path, stage: str) -> Iterable[KeptRow]:
    return standing_rows(folder, stage)


def _metric(name: str, text: str, question: Question, section: Section) -> float:
    """A question without references is answered by saying so, in words of the section's or in none."""
    if not question.references and not text.strip():
        return 1.0
    return METRICS[name](text, question.references or section.unknown)


def scores_of(row: KeptRow) -> tuple[float, ...]:
    """The log-probabilities that a row holds; null is minus infinity, which is no JSON."""
    return tuple(-math.inf if one is None else one for one in row["scores"])


def _unjudged(answer: Answer) -> Judgement:
    return Judgement(None, reason=answer.failed or "it was not judged")


def judgement_of(row: KeptRow, section: Section) -> Judgement:
    """What a judge's row counts as."""
    for problem in ("failed", "unanswered"):
        if problem in row:
            return Judgement(None, reason=row[problem])
    if "scores" in row:
        return section.rule.weighed(scores_of(row))
    return section.rule.written(row["text"])


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
    logprobs, entropies = (answer.logprobs, answer.entropies) if known else ((), ())
    found["length"] = float(answer.length) if known else None
    found["G-NLL"] = uncertainty.nll(logprobs) if logprobs else None
    found["mean NLL"] = uncertainty.mean_nll(logprobs) if logprobs else None
    for name, weighting in uncertainty.WEIGHTINGS.items():
        if name != "uniform":  # that one is the mean
            found[f"NLL, {name}"] = uncertainty.weighted_nll(logprobs, weighting) if logprobs else None
    found["mean entropy"] = uncertainty.mean_entropy(entropies) if entropies else None
    found["max entropy"] = uncertainty.max_entropy(entropies) if entropies else None
    if drawn:
        likelihoods = [() if one.failed else one.logprobs for one in drawn]
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
    found |= {f"probe {name}": score for name, score in answer.probes.items()}
    if truth is not None and "scores" in truth:
        found["1 - P(True)"] = uncertainty.p_true(*scores_of(truth))
    return found


def _relevance_nll(answer: Answer, relevance: Sequence[float]) -> float:
    """Relevance is of tokens with a text; the ending's own probability has none."""
    return uncertainty.relevance_nll(answer.logprobs[: len(relevance)], relevance)
