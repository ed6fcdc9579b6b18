"""Candidates put to the model: those of one text in one row where its engine can, else each by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ullage.engines.engine import Chat, Deciding, Engine, Failure
from ullage.engines.states import Asked
from ullage.engines.turns import Turns
from ullage.kinds.pii.items import Item
from ullage.kinds.pii.section import VERIFIER, Section
from ullage.phases.phase import Phase

SCORE = "score"


@dataclass(slots=True)
class Read:
    """What was read of a window: tokens, and each batch's seconds and how many candidates it had."""

    tokens: int = 0
    batches: list[tuple[float, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reading:
    """`most` tokens are what a row may have; None: every candidate is read by itself."""

    turns: Turns
    engine: Engine
    section: Section
    most: int | None

    def settle(self, items: Sequence[Item], phase: Phase, asked: dict[int, Asked]) -> Read:
        """Settles the items that have a chat; candidates under one instruction are read together: it stays
        in the cache."""
        read = Read()
        by_instruction: dict[str, list[Item]] = {}
        for item in items:
            if item.chat is not None:
                by_instruction.setdefault(item.chat[0]["content"], []).append(item)
        for some in by_instruction.values():
            self._settle(some, phase, asked, read)
        return read

    def _settle(self, items: Sequence[Item], phase: Phase, asked: dict[int, Asked], read: Read) -> None:
        rows = [row for own in _by_record(items) for row in self._rows(own)]
        read.tokens += sum(tokens for _, tokens in rows)

        def weigh(batch: Sequence[int]) -> list[list[tuple[float, ...] | Failure]]:
            begun = time.monotonic()
            held = [rows[at][0] for at in batch]
            with self.turns.states.listening(
                self.engine, phase, SCORE, [asked[id(item)] for row in held for item in row]
            ):
                found = decide(
                    self.engine, [[_chat(item) for item in row] for row in held], self.section.verdicts
                )
            read.batches.append((round(time.monotonic() - begun, 5), sum(map(len, held))))
            return found

        lengths = [tokens for _, tokens in rows]
        found = self.turns.each(VERIFIER, SCORE, lengths, weigh)
        for (row, _), scores in zip(rows, found, strict=True):
            for item, own in zip(row, scores, strict=True):
                item.settle(own, self.section.least_mass)

    def _rows(self, items: Sequence[Item]) -> Iterator[tuple[list[Item], int]]:
        chats = [_chat(item) for item in items]
        if self.most is not None and isinstance(self.engine, Deciding):
            for held, tokens in self.engine.rows(chats, self.most):
                yield [items[at] for at in held], tokens
        else:
            for item, tokens in zip(items, self.engine.lengths(chats), strict=True):
                yield [item], tokens


def decide(
    engine: Engine, rows: Sequence[Sequence[Chat]], verdicts: tuple[str, str]
) -> list[list[tuple[float, ...] | Failure]]:
    """Both verdicts' log-probabilities for each prompt of each row, in all their forms where the engine
    knows them."""
    if isinstance(engine, Deciding):
        return engine.decide(rows, verdicts)
    found = iter(engine.score([chat for row in rows for chat in row], verdicts))
    return [[next(found) for _ in row] for row in rows]


def _by_record(items: Sequence[Item]) -> Iterator[list[Item]]:
    own: list[Item] = []
    for item in items:
        if own and own[0].record is not item.record:
            yield own
            own = []
        own.append(item)
    if own:
        yield own


def _chat(item: Item) -> Chat:
    assert item.chat is not None
    return item.chat
