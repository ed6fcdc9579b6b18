"""What answers mean: which say the same, and which of their words carry it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Final

from ullage.engines.engine import Chat
from ullage.kinds.evaluate.accuracy import normalised
from ullage.kinds.evaluate.answers import Answer
from ullage.kinds.evaluate.judging import one_line
from ullage.kinds.evaluate.questions import Question
from ullage.workloads.judgement import Rule

ENTAILS: Final = ("yes", "no")
IMPLIES: Final = Rule(ENTAILS)
"""What an answer to whether one text implies another counts as."""
SYSTEM: Final = "Does the first answer to the question imply the second? Reply with one word, yes or no."
TRUTH: Final = ("True", "False")


def pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Every ordered pair of texts that differ in their words."""
    kinds: dict[str, str] = {}
    for text in texts:
        kinds.setdefault(normalised(text), text)
    return list(permutations(kinds.values(), 2))


def entailment_prompt(question: Question, first: str, second: str) -> Chat:
    """Whether one answer implies another, for a model that follows instructions."""
    said = (
        f"Question: {one_line(question.question)}\nFirst answer: {one_line(first)}\n"
        f"Second answer: {one_line(second)}"
    )
    return ({"role": "system", "content": SYSTEM}, {"role": "user", "content": said})


def log_softmax(logits: Sequence[float]) -> list[float]:
    """Natural logarithms of the probabilities that logits stand for."""
    largest = max(logits)
    total = largest + math.log(math.fsum(math.exp(one - largest) for one in logits))
    return [one - total for one in logits]


def clusters(texts: Sequence[str], entails: Mapping[tuple[str, str], bool]) -> list[int]:
    """The meaning of each text, numbered by first appearance.

    A text joins the first meaning whose first text it implies and is implied by: both directions must hold
    (Kuhn et al. 2023, Semantic Uncertainty, arXiv:2302.09664, section 3.2; Farquhar et al. 2024, Nature 630,
    algorithm 1). Texts of the same words mean the same. Without any `entails` words alone decide.
    """
    first: dict[str, str] = {}
    heads: list[str] = []
    found = []
    for text in texts:
        own = first.setdefault(normalised(text), text)
        for number, head in enumerate(heads):
            if own == head or (entails.get((own, head)) and entails.get((head, own))):
                found.append(number)
                break
        else:
            found.append(len(heads))
            heads.append(own)
    return found


def without_each_token(answer: Answer) -> list[str]:
    """The answer's text without the characters of each of its tokens, in their order."""
    return [answer.text[:begin] + answer.text[end:] for begin, end in answer.offsets]


def beside(question: Question, answer: str) -> str:
    """Question and answer as one text: relevance compares such texts (Duan et al. 2024, equation 3)."""
    return f"{one_line(question.question)} {one_line(answer)}"


def truth_prompt(question: Question, answer: str, brainstormed: Sequence[str]) -> Chat:
    """Whether a proposed answer is true, after some answers the model itself thought of.

    Kadavath et al. 2022, arXiv:2207.05221, section 3.2.
    """
    context = one_line(question.context)
    ideas = "".join(f"{one_line(one)}\n" for one in dict.fromkeys(brainstormed))
    said = (
        (f"{context}\n" if context else "")
        + f"Question: {one_line(question.question)}\n"
        + (f"Here are some brainstormed ideas: {ideas}" if ideas else "")
        + f"Possible answer: {one_line(answer)}\nIs the possible answer True or False?"
    )
    return ({"role": "user", "content": said},)
