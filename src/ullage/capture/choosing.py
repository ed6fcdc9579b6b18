"""Which positions each point keeps of the sequences of a batch: before they are read, and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ullage.spec.positions import Awaited, Positions, Range, awaited, chosen, merged

NOWHERE = (0, 0)


@dataclass(frozen=True, slots=True)
class Choosing:
    """So many sequences, and what is known of them before they are read.

    `spans` are their own ranges, where they have any; `special` the ids of special tokens. `tokens` are their
    ids where nothing will follow them, so that no more is kept than is asked for.
    """

    sequences: int
    spans: Sequence[Range] = ()
    special: frozenset[int] = frozenset()
    tokens: Sequence[Sequence[int]] | None = None

    def awaited(self, positions: Positions) -> list[Awaited]:
        """What may be chosen of each sequence."""
        if self.tokens is None:
            return [awaited(positions, self._span(index)) for index in range(self.sequences)]
        lengths = [len(each) for each in self.tokens]
        return [Awaited(merged(each)) for each in self.chosen(positions, self.tokens, lengths)]

    def chosen(
        self, positions: Positions, tokens: Sequence[Sequence[int]], lengths: Sequence[int]
    ) -> list[tuple[Range, ...]]:
        """What is chosen of each sequence, of which so many of its `tokens` were read."""
        found = []
        for index, length in enumerate(lengths):
            special = (
                [token in self.special for token in tokens[index][:length]]
                if positions == "not-special"
                else ()
            )
            found.append(chosen(positions, length, self._span(index), special))
        return found

    def _span(self, index: int) -> Range:
        return self.spans[index] if self.spans else NOWHERE
