"""How alike answers are, and which implies which: by an encoder that reads two, or a decoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from ullage.engines.engine import Comparing, Embedding, Engine, Pair
from ullage.engines.states import Asked
from ullage.engines.turns import Row, Turns
from ullage.errors import UnsupportedError
from ullage.kinds.evaluate.answers import Answer
from ullage.kinds.evaluate.inquiries import NO_NUMBERS, Inquiries, Inquiry
from ullage.kinds.evaluate.meaning import ENTAILS, beside, entailment_prompt, pairs, without_each_token
from ullage.kinds.evaluate.phases import SCORE
from ullage.kinds.evaluate.questions import Question
from ullage.kinds.evaluate.section import ENTAILMENT

PLACES: Final = 6
Told = tuple[int, Question, list[Answer]]
"""A question's number, the question, and answers to it."""


@dataclass(frozen=True, slots=True)
class Relating:
    """What role `name` makes of the answers to each question; `about` is how many questions there are."""

    turns: Turns
    name: str
    about: int

    def alike(self, engine: Engine, told: Iterator[Told]) -> None:
        """How alike each answer is to itself without each token, and to the others of its question.

        Raises UnsupportedError for an engine that tells neither states nor scores of pairs.
        """
        if isinstance(engine, Comparing):
            unit = _Pairs(engine, *self._limits()).rows
        elif isinstance(engine, Embedding):
            unit = _States(engine, engine.lengths, *self._limits()).rows
        else:
            raise UnsupportedError(f"roles.{self.name}: only engine transformers gives similarities")

        def work(batch: Sequence[tuple[int, Told]]) -> list[Row]:
            ((_, (index, question, answers)),) = batch
            return unit(index, question, answers)

        items = ((each, 1) for each in told)
        self.turns.work(self.name, self.name, SCORE, items, work, total=self.about, most=1)

    def implied(self, engine: Engine, told: Iterator[Told], labels: Sequence[str]) -> None:
        """Whether each answer of a question implies each other that has other words; `labels` are an
        encoder's."""
        put = Inquiries(self.turns, engine, self.name, of_each=0)
        asked = (
            (index, question, part, both)
            for index, question, drawn in told
            for part, both in enumerate(pairs([one.told for one in drawn]))
        )
        if labels:
            read = (
                Inquiry((index, *both), Asked(index, question.id, part), _beside(question, both))
                for index, question, part, both in asked
            )
            put.infer(ENTAILMENT, read, labels, self.about)
            return
        chats = (
            Inquiry((index, *both), Asked(index, question.id, part), entailment_prompt(question, *both))
            for index, question, part, both in asked
        )
        put.weigh(ENTAILMENT, chats, ENTAILS, self.about)

    def _limits(self) -> tuple[int, int]:
        return self.turns.longest(self.name, SCORE), self.turns.limits(self.name, SCORE).sequences


@dataclass(frozen=True, slots=True)
class _States:
    """By the cosine of states; a text has up to `longest` tokens, and `batch` are read at once."""

    engine: Embedding
    lengths_of: Callable[[Sequence[str]], list[int]]
    longest: int
    batch: int

    def rows(self, index: int, question: Question, answers: Sequence[Answer]) -> list[Row]:
        """A row for each answer."""
        whole = [beside(question, answer.text) for answer in answers]
        lengths = self.lengths_of(whole)
        fits = [place for place, length in enumerate(lengths) if length <= self.longest]
        states = self.engine.embed([whole[place] for place in fits], self.batch)
        alike = (states @ states.T).clamp(0, 1).tolist()
        found = dict(zip(fits, zip(states, alike, strict=True), strict=True))
        rows = []
        for place, answer in enumerate(answers):
            if place not in found:
                rows.append(_too_long(index, answer, lengths[place], self.longest))
                continue
            state, row = found[place]
            cut = [beside(question, text) for text in without_each_token(answer)]
            near = (self.engine.embed(cut, self.batch) @ state).clamp(0, 1).tolist()
            others = {answers[at].sample: value for at, value in zip(fits, row, strict=True)}
            rows.append(_row(index, answer, others, near))
        return rows


@dataclass(frozen=True, slots=True)
class _Pairs:
    """By a cross-encoder's one score, whose sigmoid is in [0, 1]; the same limits, of pairs.

    Both texts have the question before them, and each two samples are read once, the earlier first (Duan et
    al. 2024, arXiv:2307.01379, equation 3 and section 5.1).
    """

    engine: Comparing
    longest: int
    batch: int

    def rows(self, index: int, question: Question, answers: Sequence[Answer]) -> list[Row]:
        """A row for each answer, samples among one another; none is compared with one that is too long."""
        own = {one.sample: beside(question, one.text) for one in answers}
        cuts = {
            one.sample: [(own[one.sample], beside(question, cut)) for cut in without_each_token(one)]
            for one in answers
        }
        most = {sample: max(self._lengths([(text, text), *cuts[sample]])) for sample, text in own.items()}
        fits = [one for one in answers if most[one.sample] <= self.longest]
        between = {
            (one.sample, other.sample): (own[one.sample], own[other.sample])
            for one, other in combinations([one for one in fits if one.sample], 2)
        }
        asked = [*between.values(), *(pair for one in fits for pair in cuts[one.sample])]
        scores = self._scores(list(dict.fromkeys(asked)))
        rows = []
        for one in answers:
            if one not in fits:
                rows.append(_too_long(index, one, most[one.sample], self.longest))
                continue
            near = [scores[pair] for pair in cuts[one.sample]]
            others = {one.sample: 1.0}
            for both, pair in between.items():
                if one.sample in both:
                    others[both[both[0] == one.sample]] = scores[pair]
            rows.append(_row(index, one, dict(sorted(others.items())), near))
        return rows

    def _lengths(self, asked: Sequence[Pair]) -> list[int]:
        return self.engine.pair_lengths(asked)

    def _scores(self, asked: Sequence[Pair]) -> dict[Pair, float]:
        """Of each pair, in batches of like length."""
        lengths = dict(zip(asked, self._lengths(asked), strict=True))
        order = sorted(asked, key=lambda pair: lengths[pair])
        found: dict[Pair, float] = {}
        for at in range(0, len(order), self.batch):
            some = order[at : at + self.batch]
            for pair, (logit,) in zip(some, self.engine.compare(some), strict=True):
                found[pair] = 1 / (1 + math.exp(-max(min(logit, 700.0), -700.0)))
        return found


def _beside(question: Question, both: tuple[str, str]) -> Pair:
    return beside(question, both[0]), beside(question, both[1])


def _row(index: int, answer: Answer, others: dict[int, float], near: Sequence[float]) -> Row:
    """Similarities as JSON; none of a row is a number where one is not."""
    if not all(map(math.isfinite, (*others.values(), *near))):
        return {"index": index, "sample": answer.sample, "failed": NO_NUMBERS, "asked": False}
    samples = {str(sample): round(value, PLACES) for sample, value in others.items()}
    found = {"index": index, "sample": answer.sample, "samples": samples}
    return {**found, "tokens": [round(one, PLACES) for one in near]}


def _too_long(index: int, answer: Answer, length: int, most: int) -> Row:
    reason = f"it has {length:,} tokens beside what it is compared with, the plan is for {most:,}"
    return {"index": index, "sample": answer.sample, "failed": reason, "asked": False}
