"""A person at the table: one seat is asked in the terminal, with the view a model would have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ullage.kinds.werewolf.asks import Ask
from ullage.kinds.werewolf.game import Outcome
from ullage.kinds.werewolf.identities import ARTICLES, side_of
from ullage.kinds.werewolf.playing import Playing, Reply
from ullage.kinds.werewolf.prompts import Prompts


@dataclass(slots=True)
class Person:
    """Who sits at `seat`: reads what a prompt of that seat says, once, and types the answers.

    `say` shows a text, `read` shows a mark and returns a line; what it raises at the end of the input ends
    the game.
    """

    seat: int
    prompts: Prompts
    say: Callable[[str], None]
    read: Callable[[str], str]
    _told: int = field(default=0, init=False)
    _greeted: bool = field(default=False, init=False)

    def reply(self, ask: Ask) -> Reply:
        """What the person answers. An answer that cannot be read is asked for again by the game, once."""
        system, user = self.prompts.prompt(ask)
        if not self._greeted:
            self._greeted = True
            self.say(system.content + "\n")
        lines = user.content.splitlines()
        happened, rest = lines[: self._happened(lines)], lines[self._happened(lines) :]
        self.say("\n".join([*happened[self._told :], *rest]))
        self._told = len(happened)
        return Reply(self.read("> "))

    def ended(self, playing: Playing) -> None:
        """Who won, and who was who."""
        table, outcome = playing.table, playing.outcome
        assert outcome is not None
        own = side_of(table.identities[self.seat])
        self.say(
            f"\nThe {outcome.winner} win: {outcome.why}. You {'win' if own == outcome.winner else 'lose'}."
        )
        for name, identity in zip(table.names, table.identities, strict=True):
            self.say(f"{name} was {ARTICLES[identity]}.")

    @staticmethod
    def _happened(lines: list[str]) -> int:
        """How many of a prompt's lines tell what happened: all above the one that says who is alive."""
        return max(place for place, line in enumerate(lines) if line.startswith("Alive: "))


def play_with(person: Person, playing: Playing, others: Callable[[tuple[Ask, ...]], list[Reply]]) -> Outcome:
    """Plays to the end: the person's asks one by one, those of the `others` together, as they are open."""
    while playing.open:
        theirs = tuple(ask for ask in playing.open if ask.seat != person.seat)
        if theirs:
            for ask, reply in zip(theirs, others(theirs), strict=True):
                playing.reply(ask.number, reply)
            continue
        ask = playing.open[0]
        playing.reply(ask.number, person.reply(ask))
    person.ended(playing)
    assert playing.outcome is not None
    return playing.outcome
