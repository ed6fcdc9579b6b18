"""Routers that ask a model for a word: by what it would write, or by what it writes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ullage.engines.engine import Chat, Deciding, Engine, Failure, Reply, Sampling
from ullage.kinds.assistant.routing.route import Chosen
from ullage.text import either
from ullage.workloads.templates import fill

INSTRUCTIONS: Final = "Route the request to one specialist: {labels}."


@dataclass(frozen=True, slots=True)
class Asking:
    """What a router is asked: `words` to choose among, and `instructions` with `{labels}` for them."""

    words: tuple[str, ...]
    instructions: str = INSTRUCTIONS

    def prompt(self, text: str) -> Chat:
        """Instructions and the request, which is data and no message of its own."""
        system = fill(self.instructions, {"labels": either(self.words)})
        return ({"role": "system", "content": system}, {"role": "user", "content": text})


class LabelRouter:
    """Chooses by the probabilities of its words, each in all forms it may be written in: one pass."""

    def __init__(self, engine: Engine, asking: Asking) -> None:
        self._engine, self._asking = engine, asking

    def choose(self, texts: Sequence[str]) -> list[Chosen]:
        """The likeliest word for each text; none where the engine gave no probabilities."""
        prompts = [self._asking.prompt(text) for text in texts]
        if isinstance(self._engine, Deciding):
            rows = self._engine.decide([[prompt] for prompt in prompts], self._asking.words)
            scores = [one for row in rows for one in row]
        else:
            scores = self._engine.score(prompts, self._asking.words)
        return [self._chosen(each) for each in scores]

    def _chosen(self, scores: tuple[float, ...] | Failure) -> Chosen:
        if isinstance(scores, Failure):
            return Chosen(None, problem=scores.reason)
        if any(math.isnan(each) for each in scores) or max(scores) == -math.inf:
            return Chosen(None, problem="no word of the router has a probability")
        most = max(scores)
        parts = [math.exp(each - most) for each in scores]
        shares = [part / sum(parts) for part in parts]
        named = dict(zip(self._asking.words, shares, strict=True))
        label = max(named, key=named.__getitem__)
        return Chosen(label, named[label], named, min(sum(map(math.exp, scores)), 1.0))


class WrittenRouter:
    """Chooses by the one word that the model has written; what names none, or several, is no choice."""

    def __init__(self, engine: Engine, asking: Asking, new_tokens: int) -> None:
        self._engine, self._asking, self._sampling = engine, asking, Sampling(new_tokens)

    def choose(self, texts: Sequence[str]) -> list[Chosen]:
        """The word named in each reply."""
        prompts = [self._asking.prompt(text) for text in texts]
        replies = self._engine.generate(prompts, self._sampling, [0] * len(prompts))
        return [self._chosen(reply) for reply in replies]

    def _chosen(self, reply: Reply | Failure) -> Chosen:
        if isinstance(reply, Failure):
            return Chosen(None, problem=reply.reason)
        named = [word for word in self._asking.words if _names(reply.text, word)]
        if len(named) == 1:
            return Chosen(named[0], written=reply.text)
        what = "none" if not named else f"{len(named)}"
        return Chosen(None, written=reply.text, problem=f"the router's reply names {what} of its words")


def _names(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", text.casefold()) is not None
