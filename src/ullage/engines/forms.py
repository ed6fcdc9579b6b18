"""The forms in which a reply may begin with a word, and how probable they are together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ullage.engines.engine import Engine, Failure, Prompt, Weighing

LIKELIEST: Final = 20
"""Tokens whose probability a server of OpenAI's protocol tells. What is less likely counts nowhere, so that a
model says the same wherever it runs."""
STEPS: Final = 4
"""Tokens of a reply that are looked at for a word that is not one token."""
ONE_TOKEN: Final = 3
"""Letters of words that are one token of any vocabulary."""
_BLANKS: Final = str.maketrans(dict.fromkeys("\u2581\u0120\u010a\u0109", " "))
"""How vocabularies write blanks and line ends: SentencePiece's, and three of byte-level BPE's."""


@dataclass(frozen=True, slots=True)
class Step:
    """A token that was written, its log-probability, and those of the `LIKELIEST` that might have been, each
    with its text, which several may share."""

    token: str
    logprob: float
    likeliest: Sequence[tuple[str, float]]


def said(text: str) -> str:
    """What a token says: white space around it, however a vocabulary writes that, and case apart."""
    return text.translate(_BLANKS).strip().casefold()


def steps_for(words: Sequence[str]) -> int:
    """Tokens of a reply that tell how probable each word is."""
    return 1 if all(len(said(word)) <= ONE_TOKEN for word in words) else STEPS


def begun_with(words: Sequence[str], steps: Sequence[Step]) -> tuple[float, ...]:
    """The log-probability that a reply, whose likeliest form is `steps`, begins with each word.

    Counted is every token that is the word, or what is left of it once the likeliest tokens before are its
    beginning. Minus infinity where that is none.
    """
    found: list[list[float]] = [[] for _ in words]
    wanted = [said(word) for word in words]
    text, weight = "", 0.0
    for step in steps:
        for piece, logprob in step.likeliest:
            whole = said(text + piece)
            for word, own in zip(wanted, found, strict=True):
                if whole == word:
                    own.append(weight + logprob)
        text, weight = text + step.token, weight + step.logprob
        begun = said(text)
        if not any(begun and begun != word and word.startswith(begun) for word in wanted):
            break
    return tuple(together(own) for own in found)


def together(logprobs: Sequence[float]) -> float:
    """The log-probability that any one of several things happens that exclude each other; NaN if one is."""
    if any(map(math.isnan, logprobs)):
        return math.nan
    most = max(logprobs, default=-math.inf)
    if not math.isfinite(most):
        return most
    return most + math.log(math.fsum(math.exp(one - most) for one in logprobs))


def weigh(
    engine: Engine, prompts: Sequence[Prompt], words: Sequence[str]
) -> list[tuple[float, ...] | Failure]:
    """For each prompt each word's log-probability, in all its forms where the engine knows them."""
    return engine.weigh(prompts, words) if isinstance(engine, Weighing) else engine.score(prompts, words)
