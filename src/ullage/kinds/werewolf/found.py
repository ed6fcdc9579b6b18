"""Everything an experiment comes to, in one value: what its page and its summary show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Literal

from ullage.kinds.werewolf.analysis import Arm, Pair, arms, invalid, pairs
from ullage.kinds.werewolf.listening import (
    Moment,
    Row,
    Suspicion,
    calibration,
    over_the_game,
    suspicions,
    told_apart,
)
from ullage.kinds.werewolf.random_play import rate
from ullage.kinds.werewolf.rows import GameRow, TurnRow
from ullage.kinds.werewolf.rules import Rules
from ullage.measures.calibration import Bin, probability

ReadAs = Literal["a probability", "the logistic function of the score"]


@dataclass(frozen=True, slots=True)
class Listened:
    """What one probe heard. `read_as` is how a score became a probability for the calibration."""

    probe: str
    rows: tuple[Row, ...]
    error: float | None
    bins: tuple[Bin, ...]
    read_as: ReadAs
    rounds: tuple[Moment, ...]
    suspicions: tuple[Suspicion, ...]


@dataclass(frozen=True, slots=True)
class Chance:
    """How often the villagers win at random play, with an interval, and exactly where that is known."""

    value: float
    low: float
    high: float
    exact: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """All of it. `truths` are of every statement, decided by the game or, where it decided nothing, `judged`
    (how many of those were true, lies, or left unscored)."""

    games: int
    chance: Chance
    arms: tuple[Arm, ...]
    pairs: tuple[Pair, ...]
    invalid: tuple[str, ...]
    truths: dict[str, int]
    judged: dict[str, int]
    probes: tuple[Listened, ...]

    def written(self) -> dict[str, object]:
        """As a document of JSON; shares have a value beside their counts."""
        found = asdict(self)
        for arm in found["arms"]:
            for name in ("wins", "first_exile", "votes"):
                one = arm[name]
                one["value"] = one["hits"] / one["count"] if one["count"] else None
        return found


def find(
    games: Sequence[GameRow],
    turns: Sequence[TurnRow],
    rules: Rules,
    judged: Mapping[str, int] = MappingProxyType({}),
) -> Found:
    """Everything, from the rows of an experiment under `rules`, of whose statements a judge has `judged` so
    many."""
    each = tuple(arms(games, turns))
    random = rate(rules)
    truths: dict[str, int] = {}
    for turn in turns:
        if turn.truth is not None:
            truths[turn.truth] = truths.get(turn.truth, 0) + 1
    return Found(
        len(games),
        Chance(random.value, *random.interval, str(random.exact) if random.exact is not None else None),
        each,
        tuple(pairs(games)),
        tuple(invalid(each)),
        truths,
        dict(judged),
        tuple(_listened(turns, probe) for probe in probes_of(turns)),
    )


def probes_of(turns: Sequence[TurnRow]) -> list[str]:
    """Every probe that listened, in the order it is met."""
    return list(dict.fromkeys(probe for turn in turns for probe in turn.scores))


def _listened(turns: Sequence[TurnRow], probe: str) -> Listened:
    values = [value for turn in turns if probe in turn.scores for value in turn.scores[probe].values]
    within = all(0 <= value <= 1 for value in values)
    error, bins = calibration(turns, probe, float if within else probability)
    return Listened(
        probe,
        tuple(told_apart(turns, probe)),
        error,
        tuple(bins),
        "a probability" if within else "the logistic function of the score",
        tuple(over_the_game(turns, probe)),
        tuple(suspicions(turns, probe)),
    )
