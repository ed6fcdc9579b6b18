"""A game in progress, for whoever has many at once: the asks that are open, and replies as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ullage.kinds.werewolf.asks import Answer, Ask, How
from ullage.kinds.werewolf.game import Outcome, play
from ullage.kinds.werewolf.replies import fall_back, read_choice, read_statement
from ullage.kinds.werewolf.table import Table


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for an ask: a model's `text`, or the legal answer that was `chosen` by probability.

    `score` is the probe's of the statement, None where there is none.
    """

    text: str = ""
    chosen: str | None = None
    score: float | None = None


class Playing:
    """One game. Invariant: `open` are the asks that wait, in the game's order; it is empty once there is an
    `outcome`. What is asked next depends on nothing but the table's rules, seed, seats and condition, and
    the replies so far, so a game taken up with the same replies is the same game.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.outcome: Outcome | None = None
        self._steps = play(table)
        self._step: tuple[Ask, ...] = ()
        self._waiting: dict[int, Ask] = {}
        self._answers: dict[int, Answer] = {}
        self._advance(None)

    @property
    def open(self) -> tuple[Ask, ...]:
        """Asks that may be answered now, in any order."""
        return tuple(self._waiting.values())

    def reply(self, number: int, reply: Reply) -> Answer | None:
        """Takes a reply to ask `number`. None where it could not be read: the ask is open again, once, with
        what was `refused`; the second time chance answers."""
        ask = self._waiting[number]
        attempts = (*(() if ask.refused is None else (ask.refused,)), reply.text)
        answer = _read(ask, reply, attempts)
        if answer is None and ask.refused is None:
            self._waiting[number] = replace(ask, refused=reply.text)
            return None
        if answer is None:
            answer = Answer(fall_back(ask, self.table.seed), "fallback", attempts)
        del self._waiting[number]
        self._answers[number] = answer
        if not self._waiting:
            self._advance(tuple(self._answers[each.number] for each in self._step))
        return answer

    def _advance(self, answers: Sequence[Answer] | None) -> None:
        try:
            self._step = next(self._steps) if answers is None else self._steps.send(tuple(answers))
        except StopIteration as ended:
            self.outcome = ended.value
            self._step = ()
        self._waiting = {ask.number: ask for ask in self._step}
        self._answers = {}


def _read(ask: Ask, reply: Reply, attempts: tuple[str, ...]) -> Answer | None:
    how: How = "exact" if ask.refused is None else "repaired"
    if ask.legal is None:
        said = read_statement(reply.text, ask.view.name, ask.view.names)
        value = reply.text[said.begin : said.end]
        return Answer(value, how, attempts, reply.score, said.begin, said.cut) if value.strip() else None
    if reply.chosen is not None:
        assert reply.chosen in ask.legal, (reply.chosen, ask.legal)
        return Answer(reply.chosen, "probability")
    choice = read_choice(reply.text, ask.legal)
    return None if choice is None else Answer(choice, how, attempts)
