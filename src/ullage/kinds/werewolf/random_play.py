"""How often the villagers win when all play at random: exact where the rules are plain, else played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from ullage.kinds.werewolf.chance import chance
from ullage.kinds.werewolf.exact_rates import exact, is_exact
from ullage.kinds.werewolf.playing import Playing, Reply
from ullage.kinds.werewolf.rules import PRESETS, Rules
from ullage.kinds.werewolf.table import Table
from ullage.measures.proportions import wilson

GAMES: Final = 2000
"""Played where no exact rate is known: an interval of at most 4.4 points."""
PLAYED: Final = 10_000
WINS: Final[Mapping[str, int]] = {"arena": 375, "aiwolf5": 4680}
"""Of the presets that have no exact rate: games that the villagers won of the first `PLAYED`, by their seeds,
at random play."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The share of games the villagers win: `exact`, or `wins` of so many `games`."""

    exact: Fraction | None
    wins: int = 0
    games: int = 0

    @property
    def value(self) -> float:
        """The share."""
        return float(self.exact) if self.exact is not None else self.wins / self.games

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, of 95 %; a point where the rate is exact."""
        found = None if self.exact is not None else wilson(self.wins, self.games)
        return found or (self.value, self.value)


def rate(rules: Rules, seed: int = 0, games: int = GAMES) -> Rate:
    """Of the villagers under random play, each vote and each choice at night by itself. Talk, which moves
    nobody then, is left out of games that are played for it."""
    return known(rules) or Rate(None, *played(rules, seed, games))


def known(rules: Rules) -> Rate | None:
    """The same where it takes no time: exact, or of a preset that was played before; talk may differ."""
    if is_exact(rules):
        return Rate(exact(rules))
    for name, wins in WINS.items():
        if _silent(rules) == _silent(PRESETS[name]):
            return Rate(None, wins, PLAYED)
    return None


def played(rules: Rules, seed: int, games: int) -> tuple[int, int]:
    """Wins of the villagers in so many games, and how many these were."""
    silent = _silent(rules)
    return sum(play_at_random(silent, seed + each) for each in range(games)), games


def _silent(rules: Rules) -> Rules:
    """Without all that moves nobody where all play at random."""
    mute = replace(rules, rounds=0, callouts=False, night_talk=False, last_words="nobody", asked_who=False)
    return replace(mute, speech="turns", thoughts="none", thinkers="all")


def play_at_random(rules: Rules, seed: int) -> bool:
    """Whether the villagers win one game in which every legal answer is as likely."""
    game, drawn = Playing(Table(rules, seed)), chance(seed, "random play")
    while game.open:
        for ask in game.open:
            reply = Reply(chosen=drawn.choice(ask.legal)) if ask.legal else Reply("Nothing.")
            game.reply(ask.number, reply)
    assert game.outcome is not None
    return game.outcome.winner == "villagers"
