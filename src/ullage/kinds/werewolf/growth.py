"""How long the prompts of a game get, before any is written: what a plan bills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from ullage.kinds.werewolf.conditions import Condition
from ullage.kinds.werewolf.rules import Rules
from ullage.kinds.werewolf.table import NAMES
from ullage.kinds.werewolf.wording import rules_text

CHARACTERS: Final = 4
"""Of English to a token, about: what is known before there is a tokenizer."""
LINE: Final = 12
"""Tokens of a line beside what a player said in it: who spoke, a vote, a death."""
FRAME: Final = 90
"""Tokens of what is asked, who is alive, and the chat template."""

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
    return tuple(Asked(each.sort, min(each.prompt, window), each.spoken) for each in _walk(rules, new_tokens))


def room_needed(rules: Rules, new_tokens: int) -> int:
    """Tokens of window without which not even the round in progress is heard: what all say in one round."""
    speakers = 1 if rules.speech == "bids" else rules.first_voters
    spoken = speakers * (1 + 2 * rules.callouts)
    return _fixed(rules) + spoken * (new_tokens + LINE)


def _fixed(rules: Rules) -> int:
    return len(rules_text(rules, tuple(NAMES[: rules.players]), Condition())) // CHARACTERS + FRAME


def _walk(rules: Rules, new_tokens: int) -> Iterator[Asked]:
    heard = _fixed(rules)
    wolves, others = rules.werewolves, rules.players - rules.werewolves
    helpers = rules.seer + rules.doctor + 2 * rules.witch
    kills = rules.first_kill
    for _ in range(rules.days):
        if kills and rules.night_talk and wolves > 1:
            yield from (Asked("text", heard + each * (new_tokens + LINE)) for each in range(wolves))
        yield from [Asked("choice", heard)] * (wolves * kills + helpers)
        others -= kills
        heard += LINE
        if rules.last_words == "all" and kills:
            yield Asked("text", heard, True)
            heard += new_tokens + LINE
        if wolves >= others:
            return
        for asked in _day(rules, new_tokens, heard, wolves + others):
            yield asked
            if asked.spoken:
                heard += new_tokens + LINE
        yield from [Asked("choice", heard)] * (wolves + others)
        heard += LINE * (1 + rules.open_ballots * (wolves + others))
        if rules.last_words != "nobody":
            yield Asked("text", heard, True)
            heard += new_tokens + LINE
        wolves, others = (wolves - 1, others) if wolves > 1 else (wolves, others - 1)
        if wolves >= others:
            return
        kills = True


def _day(rules: Rules, new_tokens: int, heard: int, living: int) -> Iterator[Asked]:
    """The talk of a day, every statement longer to read than the one before, but at once."""
    thoughts = rules.thoughts != "none"
    said = new_tokens + LINE
    for _ in range(rules.rounds):
        speakers = living
        if rules.speech == "bids":
            yield from [Asked("choice", heard)] * (living - 1)
            speakers = 1
        for _ in range(speakers):
            if thoughts:
                yield Asked("text", heard)
            yield Asked("text", heard + thoughts * said, True)
            heard += said * (rules.speech != "at_once")
            if rules.callouts:
                yield Asked("choice", heard)
                yield Asked("text", heard, True)
                yield Asked("text", heard + said, True)
                heard += 2 * said
        heard += speakers * said * (rules.speech == "at_once")
