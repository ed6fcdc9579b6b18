"""Which of the notes that were found come first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ullage.kinds.assistant.memory.memory import Found


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each reason counts; each reason is from 0 to 1."""

    similarity: float = 1.0
    tags: float = 0.25
    significance: float = 0.25


def ranked(found: Sequence[Found], tags: Collection[str], weights: Weights) -> list[Found]:
    """`found` with their scores, the highest first; of equal ones the more similar, then by id.

        score = similarity * (s - low) / (high - low) + tags * t + significance * g

    where s is the cosine, low and high its bounds among `found`, t the share of `tags` that a note bears, and
    g its significance. Cosines are stretched because how far apart they lie differs from model to model.
    Where all are equally similar that part is 0.
    """
    cosines = [one.similarity for one in found]
    low, high = min(cosines, default=0.0), max(cosines, default=0.0)
    wanted = frozenset(tags)

    def score(one: Found) -> float:
        near = (one.similarity - low) / (high - low) if high > low else 0.0
        borne = len(wanted.intersection(one.tags)) / len(wanted) if wanted else 0.0
        return weights.similarity * near + weights.tags * borne + weights.significance * one.significance

    scored = [replace(one, score=score(one)) for one in found]
    return sorted(scored, key=lambda one: (-one.score, -one.similarity, one.id))
