"""A player's view as chat messages, within a window, with or without what its identity lets it know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from ullage.errors import InputError
from ullage.kinds.werewolf.asks import Ask
from ullage.kinds.werewolf.conditions import Condition
from ullage.kinds.werewolf.events import Event, Stage, View
from ullage.kinds.werewolf.identities import EVERYBODY
from ullage.kinds.werewolf.rules import Rules
from ullage.kinds.werewolf.rules_text import rules_text
from ullage.kinds.werewolf.wording import event_text, own_text, question_text, without_part

OLDEST_FIRST: Final = "oldest round first"
"""The rule by which prompts are shortened: all that was said and done in the earliest night, round of talk or
ballot is left out, then in the next, the same rounds for every player. The one in progress is never."""


SURELY: Final = 2.0
"""Times the tokens that a prompt has by its characters, as others of its game have them: where so many fit,
it is not counted until it is asked."""


class Message(NamedTuple):
    """One of a chat."""

    role: Literal["system", "user"]
    content: str


Prompt = tuple[Message, ...]
Count = Callable[[Prompt], int]
"""Tokens of a prompt, with all that a chat template puts around it."""
Moment = tuple[int, Stage, int]


@dataclass(frozen=True, slots=True)
class Prompts:
    """How the asks of games under one condition become prompts of at most `window` tokens. `instructions` are
    told beside the rules: to all under `all`, else by identity."""

    rules: Rules
    condition: Condition
    window: int
    count: Count
    instructions: Mapping[str, str] = field(default_factory=dict)

    @property
    def public(self) -> bool:
        """Whether thoughts are heard by all."""
        return self.condition.changed(self.rules).thoughts == "public"

    def prompt(self, ask: Ask, left_out: int = 0, without_roles: bool = False) -> Prompt:
        """The prompt of an ask, without the `left_out` earliest rounds. `without_roles` leaves out the
        identity too, and every event that not everybody saw."""
        view = ask.view
        gone = set(moments(view)[:left_out])
        known = view.public if without_roles else view.events
        lines = [f"({len(gone)} earlier rounds are left out.)"] if gone else []
        lines += _told([event for event in known if event.moment not in gone], view)
        living = ", ".join(sorted(view.names[seat] for seat in view.living))
        question = question_text(ask, self.public)
        told = [*lines, f"Alive: {living}.", f"{view.name}: {question}"]
        return (Message("system", self._system(view, without_roles)), Message("user", "\n".join(told)))

    def left_out(self, asks: Sequence[Ask], views: Iterable[View] = (), begin: int = 0) -> int:
        """How many rounds are left out of the prompts of asks of one moment: the fewest, from `begin`, with
        which each of them fits, and with which every one of `views` would.

        Raises InputError where the round in progress alone is too long.
        """
        seen = {ask.seat for ask in asks}
        longest = max(asks, key=lambda ask: len(question_text(ask, False)))
        others = [Ask(0, longest.purpose, longest.legal, view) for view in views if view.seat not in seen]
        gone, density = begin, 0.0
        for ask in (*asks, *others):
            most, asked = len(moments(ask.view)), ask.view.seat in seen
            while True:
                prompt = self.prompt(ask, gone)
                characters = sum(len(message.content) for message in prompt)
                if not asked and SURELY * density * characters <= self.window:
                    break
                tokens = self.count(prompt)
                density = max(density, tokens / characters)
                if tokens <= self.window:
                    break
                if gone >= most:
                    raise InputError(
                        f"a prompt of {tokens:,} tokens in day {ask.view.day} does not fit a window of "
                        f"{self.window:,}, with all earlier rounds left out; give more prompt_tokens, fewer "
                        "new_tokens or fewer players"
                    )
                gone += 1
        return gone

    def _system(self, view: View, without_roles: bool) -> str:
        begin = [rules_text(self.rules, view.names, self.condition), self.instructions.get(EVERYBODY, "")]
        own = [without_part(view)]
        if not without_roles:
            own = [f"{own[0]} {own_text(view)}", self.instructions.get(view.identity, "")]
        return "\n".join(filter(None, [*begin, *own]))


def _told(events: Sequence[Event], view: View) -> Iterator[str]:
    """A line an event, under the night or day it was in."""
    last = None
    for event in events:
        if event.what == "pack":
            continue
        if last != (event.day, event.stage == "night"):
            last = (event.day, event.stage == "night")
            yield f"{'Night' if last[1] else 'Day'} {event.day}:"
        yield f"- {event_text(event, view.names)}"


def moments(view: View) -> list[Moment]:
    """The rounds that can be left out, the earliest first: all but the one in progress. They are the same for
    every player, of whom one may have seen nothing of a night."""
    now = (view.day, view.stage, view.round)
    order = {"night": 0, "talk": 1, "vote": 2}
    found = {event.moment for event in view.events if event.seen_by is None} - {now}
    return sorted(found, key=lambda moment: (moment[0], order[moment[1]], moment[2]))
