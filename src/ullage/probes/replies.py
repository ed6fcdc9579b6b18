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
        tokens = [_told(float(each)) for each in read.scores()[begin:end]]
        found[name] = {"tokens": tokens, "score": _told(read.score(begin, end))}
    return found


def _told(score: float | None) -> float | None:
    return None if score is None or not math.isfinite(score) else round(score, DIGITS)
