"""What is known of an experiment before its first game: what chance alone wins, and what it can find."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from ullage.kinds.werewolf.exact_rates import is_exact
from ullage.kinds.werewolf.random_play import known
from ullage.kinds.werewolf.rules import Rules
from ullage.measures.power import paired_power, smallest_found

BASE: Final = 0.4
"""The share of wins from which it is said what gain is found."""
GAIN: Final = 0.17
PLENTY: Final = 10
"""Players up to whom an exact rate takes no time."""


@lru_cache(maxsize=64)
def forecast(rules: Rules, arms: int, games: int) -> tuple[str, ...]:
    """Lines for a plan."""
    quick = not is_exact(rules) or rules.players <= PLENTY or rules.ties == "random"
    rate = known(rules) if quick else None
    if rate is None:
        found = ("random play: how often the villagers win then is told by the report, which plays it",)
    elif rate.exact is not None:
        found = (f"random play: the villagers win {rate.exact} of the games ({rate.value:.1%})",)
    else:
        low, high = rate.interval
        found = (
            f"random play: the villagers win {rate.value:.1%} of the games ({low:.1%} to {high:.1%}: "
            f"{rate.games:,} were played)",
        )
    return (*found, *(_power(games) if arms > 1 else ()))


def _power(games: int) -> Iterator[str]:
    least = smallest_found(games, BASE)
    power = paired_power(games, BASE, BASE + GAIN)
    able = "no difference" if least is None else f"{BASE:.0%} against {BASE + least:.0%}"
    yield (
        f"{games:,} games a condition: the exact paired test finds {able} four times in five, "
        f"and {GAIN * 100:.0f} points with a power of {power:.0%}"
    )
