"""One sequence while it is written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ullage.capture.spelling import Decode
from ullage.engines.engine import StopReason

if TYPE_CHECKING:
    from torch import Generator

SEEDS_APART: Final = 1_000_003
"""A prime beyond the number of sequences a workload has: two seeds have no sequence in common."""


@dataclass(slots=True)
class Row:
    """A prompt, and what has been written after it by the chance of its own seed, `most` tokens where that is
    fewer than its batch writes; `unread` says that the last token has not gone through the model. `told` are
    the ids and logarithms of so many `likeliest` tokens of each place.

    Invariant: `tokens` grow until `stop` is set, and never after; `logprobs` and `entropies` have one entry
    for each of them, and one for the `ending` where the model ended the sequence itself.
    """

    prompt: tuple[int, ...]
    chance: Generator
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    stop: StopReason | None = None
    ending: int | None = None
    unread: bool = False
    most: int | None = None
    likeliest: int = 0
    told: list[list[tuple[int, float]]] = field(default_factory=list)

    @property
    def whole(self) -> tuple[int, ...]:
        """Every id: of the prompt, of what was written, and the ending."""
        ending = () if self.ending is None else (self.ending,)
        return (*self.prompt, *self.tokens, *ending)

    def weigh(self, logprob: float, entropy: float, others: Sequence[tuple[int, float]] = ()) -> None:
        """Notes the probability of the token that comes, the entropy it was chosen at, and what else might
        have come, the likeliest first."""
        if not self.stop:
            self.logprobs.append(logprob)
            self.entropies.append(entropy)
            self.told.append([*others[: self.likeliest]])

    def extend(self, token: int, ends: Collection[int], stops: Sequence[str], decode: Decode) -> None:
        """Adds a token, or stops where it ends the sequence."""
        if self.stop:
            return
        if token in ends:
            self.stop, self.ending = "end", token
            return
        self.tokens.append(token)
        self.unread = True
        if stops and first_stop(decode(self.tokens), stops) is not None:
            self.stop = "stop"
        elif len(self.tokens) == self.most:
            self.stop = "length"


def new_row(prompt: Sequence[int], seed: int, most: int | None = None, likeliest: int = 0) -> Row:
    """A row that has nothing written yet."""
    import torch

    return Row(tuple(prompt), torch.Generator().manual_seed(seed), most=most, likeliest=likeliest)


def seed_of(seed: int, place: int) -> int:
    """The seed of one sequence of many: of those whose own seed is `seed`, the one at `place`."""
    return seed * SEEDS_APART + place


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop sequence begins."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return min(found, default=None)
