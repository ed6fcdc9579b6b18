"""How long the prompts of a game get, before any is written: what a plan bills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from ullage.kinds.werewolf.conditions import Condition
from ullage.kinds.werewolf.names import NAMES
from ullage.kinds.werewolf.rules import Rules
from ullage.kinds.werewolf.rules_text import rules_text

CHARACTERS: Final = 4
"""Of English to a token, about: what is known before there is a tokenizer."""
LINE: Final = 12
"""Tokens of a line beside what a player said in it: who spoke, a vote, a death."""
FRAME: Final = 80
"""Tokens of what is asked, who is alive, and the chat template."""

CONTROL: Final = Condition()

Sort = Literal["text", "choice"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One ask: `prompt` tokens are read for it; `spoken` ones may be scored again without the identity."""

    sort: Sort
    prompt: int
    spoken: bool = False


@lru_cache(maxsize=256)
def asks_of(rules: Rules, new_tokens: int, window: int) -> tuple[Asked, ...]:
    """Every ask of a game in which each night and each day takes a player, the werewolves exiled first: the
    longest where the rules exile somebody every day. Every text has all its `new_tokens`, and no prompt is
    longer than `window`.
    """
    found = _Walk(rules, new_tokens + LINE).asks()
    return tuple(Asked(each.sort, min(each.prompt, window), each.spoken) for each in found)


@lru_cache(maxsize=256)
def room_needed(rules: Rules, new_tokens: int, condition: Condition = CONTROL) -> int:
    """Tokens of window without which not even the round in progress is heard: what all say in one round, and
    think where it is heard, as `rules` are played in a condition."""
    rules = condition.changed(rules)
    speakers = 1 if rules.speech == "bids" else rules.first_voters
    heard = 1 + 2 * rules.callouts + (rules.thoughts == "public")
    return _fixed(rules, condition) + (speakers * heard + (rules.thoughts == "private")) * (new_tokens + LINE)


def _fixed(rules: Rules, condition: Condition = CONTROL) -> int:
    return len(rules_text(rules, tuple(NAMES[: rules.players]), condition)) // CHARACTERS + FRAME


class _Walk:
    """Through such a game. `heard` are tokens of what all heard so far, `own` of what the asked player alone
    knows: its thoughts, and what the werewolves said at night, as if it was always one of them."""

    def __init__(self, rules: Rules, said: int) -> None:
        self.rules, self.said = rules, said
        self.heard, self.own = _fixed(rules), 0
        self.wolves, self.others = rules.werewolves, rules.players - rules.werewolves

    def asks(self) -> Iterator[Asked]:
        """All of them, in order."""
        kills = self.rules.first_kill
        yield from [Asked("text", self.heard)] * self.rules.players * self.rules.asked_who
        for _ in range(self.rules.days):
            yield from self._night(kills)
            if self.wolves >= self.others:
                return
            yield from self._day()
            yield from self._choices(self.wolves + self.others)
            self.heard += LINE * (1 + (self.wolves + self.others) * (self.rules.ballots != "secret"))
            if self.rules.last_words != "nobody":
                yield self._speech()
            if self.wolves > 1:
                self.wolves -= 1
            else:
                self.others -= 1
            if self.wolves >= self.others:
                return
            kills = True

    def _choices(self, count: int) -> Iterator[Asked]:
        yield from [Asked("choice", self.heard + self.own)] * count

    def _speech(self) -> Asked:
        """Something that everybody hears."""
        found = Asked("text", self.heard + self.own, True)
        self.heard += self.said
        return found

    def _night(self, kills: bool) -> Iterator[Asked]:
        rules = self.rules
        if kills and rules.night_talk and self.wolves > 1:
            for _ in range(self.wolves):
                yield Asked("text", self.heard + self.own)
                self.own += self.said
        yield from self._choices((self.wolves + rules.doctor) * kills + rules.seer)
        if rules.witch:
            yield from self._choices(1 + kills)
        self.own += (self.wolves + 1) * kills * LINE
        self.others -= kills
        self.heard += LINE
        if rules.last_words == "all" and kills:
            yield self._speech()

    def _day(self) -> Iterator[Asked]:
        """The talk of a day, every statement longer to read than the one before, but at once."""
        rules, living = self.rules, self.wolves + self.others
        for number in range(rules.rounds):
            speakers = [1] * living
            if rules.speech == "bids":
                yield from self._choices(living - (number > 0))
                self.own += LINE
                speakers = [1]
            elif rules.speech == "at_once":
                speakers = [living]
            for together in speakers:
                yield from self._said(together)
            self.own += self.said * (rules.thoughts == "private")

    def _said(self, together: int) -> Iterator[Asked]:
        """One says something, or so many without hearing the others."""
        rules, thought = self.rules, 0
        if rules.thoughts != "none":
            yield from [Asked("text", self.heard + self.own)] * together
            thought = self.said if rules.thoughts == "private" else self.said * together
        yield from [Asked("text", self.heard + self.own + thought, True)] * together
        self.heard += self.said * together + thought * (rules.thoughts == "public")
        if rules.callouts:
            yield from self._choices(1)
            yield self._speech()
            yield self._speech()
