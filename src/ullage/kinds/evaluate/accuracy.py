"""Whether an answer is right by its words: exact match, containment, SQuAD F1, ROUGE-L: a column each."""

from __future__ import annotations

import os
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Final, Protocol

from ullage.errors import MissingExtraError

NOWHERE: Final = "/nonexistent"


class _Overlap(Protocol):
    """A score of rouge-score's, which has no types."""

    @property
    def fmeasure(self) -> float: ...


class _Scorer(Protocol):
    """What is asked of rouge-score's scorer."""

    def score(self, target: str, prediction: str) -> Mapping[str, _Overlap]: ...


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower case, without punctuation, English articles and extra white space.

    Rajpurkar et al. 2016, SQuAD, arXiv:1606.05250 (its evaluation script).
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 if the normalised answer is a normalised reference; without references, if it is empty."""
    if not references:
        return float(not normalised(answer))
    return float(any(normalised(answer) == normalised(reference) for reference in references))


def contains(answer: str, references: Sequence[str]) -> float:
    """1 if the words of a reference stand in the answer, one after the other, both normalised; without
    references, if the answer is empty.

    Liu et al. 2024, Lost in the Middle, arXiv:2307.03172, section 2.1, there by characters: for models that
    answer in sentences.
    """
    if not references:
        return float(not normalised(answer))
    said = f" {normalised(answer)} "
    return float(any(f" {own} " in said for own in map(normalised, references) if own))


def f1(answer: str, references: Sequence[str]) -> float:
    """Best overlap of words with a reference, as SQuAD counts it (v2: an empty side matches an empty one)."""
    if not references:
        return float(not normalised(answer))
    return max(
        _overlap(normalised(answer).split(), normalised(reference).split()) for reference in references
    )


def _overlap(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    common = sum((Counter(answer) & Counter(reference)).values())
    return 2 * common / (len(answer) + len(reference))


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """Best ROUGE-L F-measure with a reference (Lin 2004), by Google's rouge-score with stemming."""
    if not references:
        return float(not answer.strip())
    scorer = _rouge()
    return max(float(scorer.score(reference, answer)["rougeL"].fmeasure) for reference in references)


@cache
def _rouge() -> _Scorer:
    try:
        with _some_home():
            from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise MissingExtraError("rouge-score", "evaluate", "metric rouge_l") from error
    scorer: _Scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return scorer


@contextmanager
def _some_home() -> Iterator[None]:
    """Inside, there is a home folder, as nltk asks for on import; a user without a name has none."""
    unknown = os.path.expanduser("~") == "~"
    if unknown:
        os.environ["HOME"] = NOWHERE
    try:
        yield
    finally:
        if unknown:
            del os.environ["HOME"]


METRICS = {"exact_match": exact_match, "contains": contains, "f1": f1, "rouge_l": rouge_l}
