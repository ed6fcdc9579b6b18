"""What probes make of a reply: a score for each of its tokens, and one for all of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypedDict

from ullage.engines.engine import Reply
from ullage.probes.projections import Projections

if TYPE_CHECKING:
    from torch import Tensor

DIGITS: Final = 6
"""Decimals of kept scores."""


class ReplyScores(TypedDict):
    """One probe's of one reply: of each token and of the whole; None where the state was no number, or there
    is no token."""

    tokens: list[float | None]
    score: float | None


def reply_scores(probes: Projections, products: Mapping[str, Tensor], reply: Reply) -> dict[str, ReplyScores]:
    """By probe, of the tokens that the reply keeps; `products` are of prompt and reply."""
    plain = {site: each.cpu().numpy() for site, each in products.items()}
    begin, end = reply.prompt_tokens, reply.prompt_tokens + len(reply.tokens)
    found: dict[str, ReplyScores] = {}
    for name in probes.probes:
        read = probes.read(name, plain)
        tokens = [told(float(each)) for each in read.scores()[begin:end]]
        found[name] = {"tokens": tokens, "score": told(read.score(begin, end))}
    return found


class Spoken:
    """What probes make of a reply while it is written. `scores` are each probe's, a number for each token
    that has been read."""

    def __init__(self, probes: Projections) -> None:
        self._probes = probes
        self._products: list[Mapping[str, Tensor]] = []
        self.scores: dict[str, list[float | None]] = {name: [] for name in probes.probes}

    @property
    def count(self) -> int:
        """Tokens that have been read."""
        return min(map(len, self.scores.values()))

    def add(self, products: Mapping[str, Tensor]) -> None:
        """Products of the tokens that come next, (tokens, columns) by site."""
        if not products:
            return
        self._products.append(products)
        plain = {site: each.numpy() for site, each in products.items()}
        for name, mine in self.scores.items():
            mine += [told(float(each)) for each in self._probes.read(name, plain).scores()]

    def whole(self, tokens: int) -> dict[str, ReplyScores]:
        """By probe, of the first `tokens` tokens: as `reply_scores` of a reply that has ended."""
        import numpy as np

        kept = min(tokens, self.count)
        found: dict[str, ReplyScores] = {}
        for name, mine in self.scores.items():
            score = None
            if kept:
                sites = self._products[0]
                joined = {
                    site: np.concatenate([each[site].numpy() for each in self._products]) for site in sites
                }
                score = told(self._probes.read(name, joined).score(0, kept))
            found[name] = {"tokens": mine[:kept], "score": score}
        return found


def told(score: float | None) -> float | None:
    return None if score is None or not math.isfinite(score) else round(score, DIGITS)
