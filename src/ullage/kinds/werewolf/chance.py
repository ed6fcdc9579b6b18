"""Chance by name: each draw of a game has a stream of its own, so that one draw more moves no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


def chance(seed: int, *names: str | int) -> random.Random:
    """The stream of `names` in the game of `seed`: the same in every process and on every machine."""
    import random

    return random.Random("/".join(map(str, (seed, *names))))
