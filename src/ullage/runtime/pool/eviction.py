"""Who leaves when room is needed: a pure choice among those who may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ullage.runtime.pool.accounts import Sizes, exceeding, of_places, together, without

SWITCH: Final = 0.001
"""Seconds that any switch takes beside its load."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One who may leave: the bytes that come free by place, seconds since it was used, seconds to have it
    back."""

    name: str
    frees: Sizes
    idle: float
    reload: float

    @property
    def worth(self) -> float:
        """What keeping it saves: seconds of loading for each byte, less the longer nobody has asked for it.

        The rule of GreedyDual-Size (Cao and Irani, 1997), with age for its clock; one that frees much is
        worth less a byte than one that frees little, where both take as long to come back.
        """
        return (SWITCH + self.reload) / (max(1, sum(self.frees.values())) * (1.0 + self.idle))


def victims(short: Sizes, candidates: Sequence[Candidate]) -> tuple[Candidate, ...] | None:
    """Those who leave so that `short` bytes come free, the least worth first; None where all are too few.

    Nobody leaves without whom the others would do: bytes decide, not how many they are.
    """
    chosen: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda each: (each.worth, each.name)):
        lacking = exceeding(short, together(*(each.frees for each in chosen)))
        if not lacking:
            break
        if any(of_places(candidate.frees, lacking).values()):
            chosen.append(candidate)
    freed = together(*(each.frees for each in chosen))
    if exceeding(short, freed):
        return None
    for candidate in reversed(chosen[:]):
        less = without(freed, candidate.frees)
        if not exceeding(short, less):
            chosen.remove(candidate)
            freed = less
    return tuple(chosen)
