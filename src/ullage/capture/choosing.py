"""Which positions each point keeps of the sequences of a batch: before they are read, and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ullage.capture.entries import StoredBatches
from ullage.capture.gradients import state_of
from ullage.capture.sites import Point
from ullage.spec.positions import (
    Awaited,
    Positions,
    Range,
    awaited,
    chosen,
    full_rows,
    merged,
    rows_of,
    written,
)

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

    def rows(self, positions: Positions) -> list[int]:
        """How many rows are kept of each sequence; their `tokens` are known."""
        assert self.tokens is not None
        lengths = [len(each) for each in self.tokens]
        return [rows_of(positions, each) for each in self.chosen(positions, self.tokens, lengths)]

    def _span(self, index: int) -> Range:
        return self.spans[index] if self.spans else NOWHERE


def some_of(
    points: Iterable[Point], positions: Mapping[str, Sequence[Range]]
) -> Mapping[str, Sequence[Range]]:
    """Of which positions a sequence's rows are, of states and gradients, for sites that do not keep all, the
    last or their mean."""
    listed = {point.name for point in points if point.capture.positions not in ("all", "last", "mean")}
    return {name: each for name, each in positions.items() if state_of(name) in listed}


def short_of(points: Iterable[Point], stored: Iterable[StoredBatches]) -> dict[str, object]:
    """What a record's outcome says of sequences that have fewer positions than were asked for, or none: for
    each way of choosing them how many, where there are any."""
    asked = {point.capture.positions: point.name for point in points}
    asked = {each: name for each, name in asked.items() if each not in ("all", "last", "mean", "span")}
    if not asked:
        return {}
    counts = {each: [0, 0] for each in asked}
    for example in (example for each in stored for example in each.examples):
        for positions, name in asked.items():
            begin, end = example.states[name][:2]
            counts[positions][0] += end - begin < (full_rows(positions) or 1)
            counts[positions][1] += end == begin
    short = [
        {"positions": written(positions), "fewer": fewer, "none": none}
        for positions, (fewer, none) in counts.items()
        if fewer
    ]
    return {"short": short} if short else {}
