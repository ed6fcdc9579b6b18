"""What the games of an experiment come to: who wins, who is voted for, and whether conditions differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from ullage.kinds.werewolf.identities import WEREWOLF
from ullage.kinds.werewolf.rows import GameRow, TurnRow
from ullage.measures.proportions import mcnemar, wilson

MOST_FALLBACKS: Final = 0.2
"""Share of choices made by chance above which a condition says nothing of the models in it."""


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `count`, with an interval of 95 %; None of nothing."""

    hits: int
    count: int
    interval: tuple[float, float] | None

    @property
    def value(self) -> float | None:
        """The share."""
        return self.hits / self.count if self.count else None


@dataclass(frozen=True, slots=True)
class Choices:
    """How a condition's choices were come by, and how many statements were silence in the end."""

    choices: int
    repaired: int
    fallbacks: int
    silent: int

    @property
    def valid(self) -> bool:
        """Whether few enough were made by chance."""
        return self.fallbacks <= MOST_FALLBACKS * self.choices


@dataclass(frozen=True, slots=True)
class Arm:
    """One condition: the villagers' wins and games in which the first exile was a werewolf (Wilson's
    interval, of games), and ballots of villagers against werewolves (resampled by game)."""

    condition: str
    wins: Share
    first_exile: Share
    votes: Share
    choices: Choices


@dataclass(frozen=True, slots=True)
class Pair:
    """Two conditions on the same seeds and seats: games that only `one` won for the villagers, only the
    `other`, and how likely so much difference is where there is none (`mcnemar`)."""

    one: str
    other: str
    games: int
    only_one: int
    only_other: int
    p: float

    @property
    def gain(self) -> float | None:
        """The other's share of wins less the one's."""
        return (self.only_other - self.only_one) / self.games if self.games else None


def arms(games: Sequence[GameRow], turns: Sequence[TurnRow]) -> list[Arm]:
    """Every condition, in the order it is met."""
    return [
        _arm(
            condition,
            [game for game in games if game.condition == condition],
            [turn for turn in turns if turn.condition == condition],
        )
        for condition in dict.fromkeys(game.condition for game in games)
    ]


def _arm(condition: str, games: Sequence[GameRow], turns: Sequence[TurnRow]) -> Arm:
    wins = sum(game.winner == "villagers" for game in games)
    firsts = [first for game in games if (first := first_exile(game)) is not None]
    found = sum(identity == WEREWOLF for identity in firsts)
    return Arm(
        condition,
        Share(wins, len(games), wilson(wins, len(games))),
        Share(found, len(games), wilson(found, len(games))),
        vote_accuracy(games, turns),
        choices_of(turns),
    )


def first_exile(game: GameRow) -> str | None:
    """The identity of whom the first day's ballot exiled; None where it exiled nobody, or there was none."""
    for event in game.events:
        if event.what == "exiled" and event.day == 1 and event.target is not None:
            return game.identities[event.target]
    return None


def vote_accuracy(games: Iterable[GameRow], turns: Iterable[TurnRow]) -> Share:
    """Of ballots that others than werewolves cast: how many name a werewolf. The interval is over resamples
    of games, of which one has many ballots."""
    import numpy as np

    from ullage.measures.bootstrap import interval, resamples_of_groups

    packs = {
        (game.condition, game.game): {
            name for name, identity in zip(game.names, game.identities, strict=True) if identity == WEREWOLF
        }
        for game in games
    }
    cast = [turn for turn in turns if turn.purpose == "vote" and turn.identity != WEREWOLF]
    hits = [turn.value in packs[turn.condition, turn.game] for turn in cast]
    if not cast:
        return Share(0, 0, None)
    right = np.asarray(hits, float)
    shares = [
        weights @ right / weights.sum(1) for weights in resamples_of_groups([turn.game for turn in cast])
    ]
    return Share(sum(hits), len(hits), interval(np.concatenate(shares)))


def choices_of(turns: Iterable[TurnRow]) -> Choices:
    """Counts over turns: what was chosen among legal answers, and free texts that stayed empty."""
    hows = Counter((turn.legal is not None, turn.how) for turn in turns)
    chosen = sum(count for (legal, _), count in hows.items() if legal)
    return Choices(chosen, hows[True, "repaired"], hows[True, "fallback"], hows[False, "fallback"])


def pairs(games: Sequence[GameRow]) -> list[Pair]:
    """Each two conditions, on the seeds both have played."""
    won: dict[str, dict[int, bool]] = {}
    for game in games:
        won.setdefault(game.condition, {})[game.seed] = game.winner == "villagers"
    return [_pair(one, other, won[one], won[other]) for one, other in combinations(won, 2)]


def _pair(one: str, other: str, first: dict[int, bool], second: dict[int, bool]) -> Pair:
    outcomes = Counter((first[seed], second[seed]) for seed in first.keys() & second.keys())
    only_one, only_other = outcomes[True, False], outcomes[False, True]
    return Pair(one, other, sum(outcomes.values()), only_one, only_other, mcnemar(only_one, only_other))


def invalid(found: Iterable[Arm]) -> Iterator[str]:
    """A sentence for every condition in which chance chose too often."""
    for arm in found:
        if not arm.choices.valid:
            yield (
                f"{arm.condition}: {arm.choices.fallbacks:,} of {arm.choices.choices:,} choices could not be "
                f"read and were made by chance; above {MOST_FALLBACKS:.0%} a condition is invalid"
            )
