"""The best of what was planned, kept up as more is: a search asks for it before every set of cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ullage.facts.gpu import GpuSet
from ullage.planning.advice.front import KEYS

if TYPE_CHECKING:
    from ullage.planning.advice.step import Step
    from ullage.planning.advice.trials import Candidate

Setting = tuple["Step", ...]


class Best:
    """Of candidates that fit, each of these is the first that no other goes before.

    `cheapest` and `fastest` lose no quality; `mildest` is the cheapest of those that lose least, and `lossy`
    of all, where nothing less is read or kept; `plain` of these in which no role is given to vLLM,
    which keeps its share of a card. None where there is none.
    """

    def __init__(self) -> None:
        self.cheapest: Candidate | None = None
        self.fastest: Candidate | None = None
        self.mildest: Candidate | None = None
        self.lossy: Candidate | None = None
        self.plain: Candidate | None = None
        self._taken: dict[GpuSet, int] = {}
        self._fitting: dict[Setting, list[Candidate]] = {}
        self._on: dict[GpuSet, Candidate] = {}

    def add(self, one: Candidate) -> None:
        """One more that was planned."""
        if one.possible:
            taken = one.outcome.peak.high
            self._taken[one.gpus] = min(self._taken.get(one.gpus, taken), taken)
        if not one.fits:
            return
        by_cost = KEYS["cost"](one)
        if not one.loss:
            if self.cheapest is None or by_cost < KEYS["cost"](self.cheapest):
                self.cheapest = one
            if self.fastest is None or KEYS["time"](one) < KEYS["time"](self.fastest):
                self.fastest = one
        if not one.cuts:
            if self.lossy is None or by_cost < KEYS["cost"](self.lossy):
                self.lossy = one
            if not one.by_vllm and (self.plain is None or by_cost < KEYS["cost"](self.plain)):
                self.plain = one
            if self.mildest is None or (one.loss, by_cost) < (self.mildest.loss, KEYS["cost"](self.mildest)):
                self.mildest = one
        self._fitting.setdefault(one.steps, []).append(one)
        if one.gpus not in self._on or KEYS["time"](one) < KEYS["time"](self._on[one.gpus]):
            self._on[one.gpus] = one

    def least_taken(self, but: GpuSet) -> int:
        """The fewest bytes that anything takes on other cards than these; 0 where nothing was planned."""
        return min((taken for gpus, taken in self._taken.items() if gpus != but), default=0)

    def on(self, gpus: GpuSet) -> Candidate | None:
        """The fastest on these cards."""
        return self._on.get(gpus)

    def alike(self, steps: Setting) -> list[Candidate]:
        """A setting on the cards that it fits."""
        return self._fitting.get(steps, [])
