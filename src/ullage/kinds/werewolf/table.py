"""The table: who sits where, who lives, what happened so far."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from typing import TypeVar

from ullage.kinds.werewolf.asks import Answer, Ask, Purpose
from ullage.kinds.werewolf.chance import chance
from ullage.kinds.werewolf.conditions import Condition
from ullage.kinds.werewolf.events import Event, Stage, View, What
from ullage.kinds.werewolf.identities import WEREWOLF
from ullage.kinds.werewolf.names import NAMES
from ullage.kinds.werewolf.rules import Rules

Of = TypeVar("Of")
Steps = Generator[tuple[Ask, ...], tuple[Answer, ...], Of]
"""A part of a game: it yields asks that may be answered side by side, and takes their answers in order."""


class Table:
    """A game's state. Invariant: events are only added, a seat that left `living` never comes back, and
    nobody is asked who is neither living nor `dying`.
    """

    def __init__(
        self,
        rules: Rules,
        seed: int,
        condition: Condition | None = None,
        identities: Sequence[str] | None = None,
    ) -> None:
        """`identities` by seat; dealt by the seed where they are not given."""
        self.condition = condition or Condition()
        self.rules, self.seed = self.condition.changed(rules), seed
        self.names = tuple(chance(seed, "names").sample(NAMES[: rules.players], rules.players))
        dealt = chance(seed, "identities").sample(rules.identities, rules.players)
        self.identities = tuple(identities or dealt)
        self.living = list(range(rules.players))
        self.dying: list[int] = []
        self.events: list[Event] = []
        self.statements = 0
        self.day, self.stage, self.round = 1, "night", 0
        self._asked = 0
        self._unshown: list[tuple[int, int, str]] = []

    stage: Stage

    def at(self, stage: Stage, round_: int = 0) -> None:
        """What happens now is part of this stage and round."""
        self.stage, self.round = stage, round_

    def add(
        self,
        what: What,
        actor: int | None = None,
        target: int | None = None,
        word: str = "",
        seen_by: Iterable[int] | None = None,
    ) -> None:
        """Something happens, now."""
        seen = None if seen_by is None else frozenset(seen_by)
        self.events.append(Event(what, self.day, self.stage, self.round, actor, target, word, seen))

    def view(self, seat: int) -> View:
        """What the player there knows."""
        known = tuple(event for event in self.events if event.seen_by is None or seat in event.seen_by)
        living = tuple(self.living)
        own = self.identities[seat]
        return View(seat, own, self.names, living, self.day, self.stage, self.round, known)

    def ask(
        self, seat: int, purpose: Purpose, legal: Iterable[str] | None = None, about: int | None = None
    ) -> Ask:
        """The game's next ask."""
        assert seat in self.living or seat in self.dying, (seat, purpose)
        self._asked += 1
        choices = None if legal is None else tuple(legal)
        return Ask(self._asked, purpose, choices, self.view(seat), about)

    def named(self, seats: Iterable[int]) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.names[seat] for seat in seats)

    def seat_of(self, name: str) -> int:
        """Who is called so."""
        return self.names.index(name)

    def others(self, *but: int) -> tuple[int, ...]:
        """The living but these."""
        return tuple(seat for seat in self.living if seat not in but)

    def living_as(self, identity: str) -> tuple[int, ...]:
        """The living of this identity."""
        return tuple(seat for seat in self.living if self.identities[seat] == identity)

    @property
    def pack(self) -> tuple[int, ...]:
        """The living werewolves."""
        return self.living_as(WEREWOLF)

    def draw(self, seats: Collection[int], *what: str | int) -> int:
        """One of them, by chance."""
        return chance(self.seed, "draw", *what, self.day).choice(sorted(seats))

    def heard(self, seat: int, score: float | None) -> None:
        """The player there has just said something to all: the detector's turn."""
        self.statements += 1
        if self.condition.shows:
            word = self.condition.shown(score, self.seed, self.statements)
            self._unshown.append((self.statements + self.condition.delay, seat, word))
        due = [each for each in self._unshown if each[0] <= self.statements]
        self._unshown = self._unshown[len(due) :]
        for _, speaker, word in due:
            self.add("score", target=speaker, word=word)
