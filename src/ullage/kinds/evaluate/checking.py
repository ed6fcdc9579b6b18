"""Answers whose verdicts are known, for judges to be judged by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Final

from ullage.kinds.evaluate.accuracy import f1, normalised
from ullage.kinds.evaluate.questions import Question

LOOKED_AT: Final = 10_000
"""The first questions, from which those of the check are drawn."""


@dataclass(frozen=True, slots=True)
class Known:
    """An answer to `question`, number `index` of those drawn, that is right or wrong for sure."""

    index: int
    question: Question
    answer: str
    right: bool


def known_answers(questions: Iterable[Question], most: int, seed: int) -> list[Known]:
    """Two answers to each of up to `most` questions: a reference of its own, and that of another.

    Another's shares no word with the question's own references where there is such a one, and is never the
    same as one of them once both are normalised; a question to which every other has the same answer is left
    out, as is one without a reference.
    """
    chance = Random(f"{seed} judge check")
    drawn: list[tuple[int, Question]] = []
    asked = (one for one in islice(questions, LOOKED_AT) if _reference(one))
    for place, question in enumerate(asked):
        if place < most:
            drawn.append((place, question))
        elif (taken := chance.randrange(place + 1)) < most:
            drawn[taken] = (place, question)
    chosen = [question for _, question in sorted(drawn, key=lambda both: both[0])]
    found: list[Known] = []
    for at, question in enumerate(chosen):
        wrong = _another(question, chosen[at + 1 :] + chosen[:at])
        if wrong:
            index = len(found) // 2
            found += [
                Known(index, question, _reference(question), True),
                Known(index, question, wrong, False),
            ]
    return found


def _reference(question: Question) -> str:
    """The first that says something; "" where there is none."""
    return next((one for one in question.references if normalised(one)), "")


def _another(question: Question, others: Sequence[Question]) -> str:
    """A reference of another question that is no answer to this one; "" where there is none."""
    own = {normalised(one) for one in question.references}
    told = [one for one in map(_reference, others) if normalised(one) not in own]
    return next((one for one in told if not f1(one, question.references)), told[0] if told else "")
