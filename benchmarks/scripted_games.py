"""Games of werewolf played by scripted players, and what must hold of every one of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, get_args

from ullage.kinds.werewolf.asks import NOBODY, Answer, Ask, Purpose
from ullage.kinds.werewolf.identities import WEREWOLF
from ullage.kinds.werewolf.playing import Playing, Reply
from ullage.kinds.werewolf.prompts import Prompts
from ullage.kinds.werewolf.rules import PRESETS, Rules
from ullage.kinds.werewolf.table import Table

SAYINGS: Final = ("I am a villager.", "{} is a werewolf.", "I trust {}.", "I checked {} last night.", "")
FULL: Final = Rules(
    players=12,
    werewolves=3,
    possessed=True,
    seer=True,
    doctor=True,
    hunter=True,
    witch=True,
    rounds=1,
    callouts=True,
    last_words="all",
    exile="majority",
    ties="second_ballot",
    second_tie="random",
    abstention=True,
    ballots="counted",
    reveal="all",
    asked_who=True,
    night_talk=True,
    doctor_repeats=False,
    doctor_saves_self=False,
)
"""Every part and every rule that a preset leaves out."""
SETUPS: Final = {
    **PRESETS,
    "full": FULL,
    "few": Rules(players=3, werewolves=1, first_kill=False, thinkers="villagers"),
}


@dataclass
class Played:
    """A finished game, every ask and what was taken for its answer."""

    game: Playing
    turns: list[tuple[Ask, Answer]] = field(default_factory=list)

    def asked(self, *purposes: str) -> list[tuple[Ask, Answer]]:
        """Those for these purposes, in the game's order."""
        turns = [turn for turn in self.turns if turn[0].purpose in purposes]
        return sorted(turns, key=lambda turn: turn[0].number)


def play(table: Table, reply: Callable[[Ask], Reply]) -> Played:
    """The game to its end. Asks that are open together are answered from the last to the first."""
    found = Played(Playing(table))
    while found.game.open:
        for ask in reversed(found.game.open):
            answer = found.game.reply(ask.number, reply(ask))
            if answer is not None:
                found.turns.append((ask, answer))
    return found


def at_random(seed: int) -> Callable[[Ask], Reply]:
    """A player that speaks at random, chooses at random, and cannot be understood one time in ten."""
    drawn = random.Random(seed)

    def reply(ask: Ask) -> Reply:
        if ask.legal is None:
            return Reply(drawn.choice(SAYINGS).format(drawn.choice(ask.view.names)), score=drawn.random())
        return Reply(drawn.choice(ask.legal) if drawn.random() < 0.9 else "Dina or Carl, I am not sure")

    return reply


def blind(ask: Ask) -> Reply:
    """A player that chooses by names alone, whatever it is, and tells what it is where nobody else hears it.
    The last seat is killed."""
    if ask.legal is None:
        secret = ask.purpose in ("night_talk", "thought", "identity")
        return Reply(f"Secretly: I am the {ask.view.identity}." if secret else f"{ask.view.name} speaks.")
    if ask.purpose == "kill" and ask.view.names[-1] in ask.legal:
        return Reply(ask.view.names[-1])
    return Reply(max(ask.legal) if ask.purpose == "save" else min(ask.legal))


def read_by(found: Played, seat: int) -> str:
    """All that the player there reads until the first ballot's end, after which identities may be told."""
    table = found.game.table
    prompts = Prompts(table.rules, table.condition, 10**9, lambda prompt: 0)
    asks = [ask for ask, _ in found.asked(*get_args(Purpose)) if ask.seat == seat and ask.view.day == 1]
    return "\n".join(message.content for ask in asks for message in prompts.prompt(ask))


def broken(found: Played) -> list[str]:
    """What does not hold of a finished game."""
    table, outcome = found.game.table, found.game.outcome
    wrong = [] if outcome is not None else ["no winner"]
    if outcome is not None and (outcome.winner == "villagers") != (not table.pack):
        wrong.append(f"{outcome.winner} won, and {len(table.pack)} werewolves live")
    numbers = sorted(ask.number for ask, _ in found.turns)
    if numbers != list(range(1, len(numbers) + 1)):
        wrong.append("asks are not numbered one by one")
    wrong += [problem for ask, answer in found.turns for problem in _broken_turn(table, ask, answer)]
    gone = [event.target for event in table.events if event.what in ("dies", "exiled")]
    if len(gone) != len(set(gone)) or len(gone) != table.rules.players - len(table.living):
        wrong.append("somebody left twice, or without a word")
    if set(gone) & set(table.living):
        wrong.append("who left is alive")
    return wrong


def _broken_turn(table: Table, ask: Ask, answer: Answer) -> list[str]:
    wrong = []
    if (ask.seat in ask.view.living) == (ask.purpose in ("last_words", "shoot")):
        wrong.append(f"{ask.purpose} of a dead player")
    if ask.legal is None:
        return wrong
    if answer.value not in ask.legal or len(set(ask.legal)) != len(ask.legal):
        wrong.append(f"{ask.purpose}: {answer.value} of {ask.legal}")
    named = {table.seat_of(name) for name in ask.legal if name in table.names}
    if not named <= set(ask.view.living):
        wrong.append(f"{ask.purpose} offers the dead")
    if ask.purpose == "kill" and any(table.identities[seat] == WEREWOLF for seat in named):
        wrong.append("a werewolf may kill a werewolf")
    if ask.purpose in ("vote", "shoot", "see", "poison", "callout") and ask.seat in named:
        wrong.append(f"{ask.purpose} on itself")
    if NOBODY in ask.legal and ask.purpose == "vote" and not table.rules.abstention:
        wrong.append("abstains against the rules")
    return wrong
