"""A thousand games of werewolf by scripted players, over every preset: results/werewolf_games.json.

    python benchmarks/werewolf_games.py [--games 1000] [--rounds 30000]

What must hold of a game is in scripted_games.py. Each game is played twice from its seed, in one of the four
conditions. In every tenth the identities of all seats but one villager's are dealt anew among those who have
them, with players who choose by names alone: that villager must read the same, letter by letter. Then the
guide's game is played at random in `--rounds` games a way of voting, and the villagers' wins are held against
the exact rates.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, islice
from typing import Any

import result_file
from scripted_games import SETUPS, at_random, blind, broken, play, read_by

from ullage.kinds.werewolf.asks import Ask
from ullage.kinds.werewolf.conditions import ARMS, Condition
from ullage.kinds.werewolf.exact_rates import Voters, exact
from ullage.kinds.werewolf.identities import VILLAGER, WEREWOLF
from ullage.kinds.werewolf.playing import Reply
from ullage.kinds.werewolf.rules import PRESETS, Rules
from ullage.kinds.werewolf.table import Table
from ullage.measures.proportions import wilson

DEALS = 4
"""Ways the others' identities are dealt, of each game that is looked at with a villager's eyes."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--games", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=30000)
    options = parser.parse_args()
    made = result_file.start("werewolf_games")
    begun = time.monotonic()
    figures: dict[str, Any] = {"games": options.games, **invariants(options.games)}
    figures["random_play"] = list(random_play(options.rounds))
    figures["seconds"] = round(time.monotonic() - begun, 1)
    claims = {
        "every rule holds in every game": not figures["broken"],
        "the same seed is the same game": not figures["not_the_same_again"],
        "no villager reads who the others are": not figures["told_apart"] and figures["looked_at"] > 0,
        "random play wins as often as the exact rate says": all(
            row["within"] for row in figures["random_play"]
        ),
    }
    made.write(figures, claims)


def invariants(games: int) -> dict[str, object]:
    """Counts of what was played, and of what did not hold."""
    wrong: list[str] = []
    wins, asks, again, told, looked = Counter[str](), 0, 0, 0, 0
    names = list(SETUPS)
    for seed in range(games):
        name = names[seed % len(names)]
        rules, condition = SETUPS[name], Condition(ARMS[seed // len(names) % len(ARMS)], 0.2, seed % 3, 0.5)
        first = play(Table(rules, seed, condition), at_random(seed))
        second = play(Table(rules, seed, condition), at_random(seed))
        wrong += [f"{name} {seed}: {problem}" for problem in broken(first)]
        again += (first.game.table.events, first.turns) != (second.game.table.events, second.turns)
        asks += len(first.turns)
        assert first.game.outcome is not None
        wins[f"{name}: {first.game.outcome.winner}"] += 1
        if seed % 10 < 2:
            looked += 1
            told += seen_through(rules, seed)
    return {
        "asks": asks,
        "wins": dict(sorted(wins.items())),
        "broken": wrong[:20],
        "not_the_same_again": again,
        "looked_at": looked,
        "told_apart": told,
    }


def seen_through(rules: Rules, seed: int) -> bool:
    """Whether what a villager reads depends on who the others are."""
    dealt = list(Table(rules, seed).identities)
    while dealt[-1] != VILLAGER:  # who is killed first has no part in the night
        dealt = dealt[1:] + dealt[:1]
    seat = dealt.index(VILLAGER)
    others = [each for each in range(len(dealt) - 1) if each != seat]
    drawn, seen = random.Random(seed), set()
    for _ in range(DEALS):
        identities = [dealt[each] for each in others]
        drawn.shuffle(identities)
        changed = list(dealt)
        for place, identity in zip(others, identities, strict=True):
            changed[place] = identity
        hidden = replace(rules, reveal="nobody")
        seen.add(read_by(play(Table(hidden, seed, identities=changed), blind), seat))
    return len(seen) > 1


def random_play(rounds: int) -> Iterator[dict[str, object]]:
    """The guide's game by each way of voting, played and exact."""
    silent = replace(PRESETS["guide"], rounds=0, asked_who=False)
    ways: dict[Voters, Callable[[Table, int], Callable[[Ask], Reply]]] = {
        "independent": alone,
        "bloc": as_bloc,
        "exile": together,
    }
    for ties in ("random", "nobody"):
        rules = replace(silent, ties=ties)
        for voters, players in ways.items():
            if (ties, voters) == ("nobody", "exile"):
                continue  # all name one: there is no tie
            wins = 0
            for seed in islice(count(), rounds):
                table = Table(rules, seed)
                outcome = play(table, players(table, seed)).game.outcome
                wins += outcome is not None and outcome.winner == "villagers"
            low, high = wilson(wins, rounds) or (0.0, 1.0)
            found = exact(rules, voters)
            yield {
                "ties": ties,
                "voters": voters,
                "exact": str(found),
                "games": rounds,
                "wins": wins,
                "share": round(wins / rounds, 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "within": low <= float(found) <= high,
            }


def alone(table: Table, seed: int) -> Callable[[Ask], Reply]:
    """Each chooses by itself."""
    drawn = random.Random(seed)
    return lambda ask: Reply(drawn.choice(ask.legal) if ask.legal else "Well.")


def as_bloc(table: Table, seed: int) -> Callable[[Ask], Reply]:
    """The werewolves vote together, for one of the others."""
    drawn = random.Random(seed)

    def reply(ask: Ask) -> Reply:
        if ask.purpose == "vote" and ask.view.identity == WEREWOLF:
            prey = table.named(table.others(*table.pack))
            return Reply(random.Random(f"{seed} {ask.view.day}").choice(prey))
        return Reply(drawn.choice(ask.legal) if ask.legal else "Well.")

    return reply


def together(table: Table, seed: int) -> Callable[[Ask], Reply]:
    """All vote for one, whoever it is; that one votes for another."""
    drawn = random.Random(seed)

    def reply(ask: Ask) -> Reply:
        if ask.purpose == "vote":
            alive = table.named(table.living)
            wanted = random.Random(f"{seed} {ask.view.day}").choice(alive)
            return Reply(wanted if wanted != ask.view.name else drawn.choice(ask.legal or alive))
        return Reply(drawn.choice(ask.legal) if ask.legal else "Well.")

    return reply


if __name__ == "__main__":
    main()
