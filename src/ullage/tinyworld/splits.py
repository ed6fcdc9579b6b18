"""Which names and prompts belong to training, validation and test: a hash decides, no list is kept."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from itertools import product
from typing import TypeVar

from ullage.errors import InputError
from ullage.tinyworld.tables import FIRST_NAMES, LAST_NAMES

Made = TypeVar("Made")
SPLITS = {"train": 80, "validation": 5, "test": 15}
"""The share of each split, in percent."""


def split_of(text: str) -> str:
    """The split that `text` belongs to."""
    place = int.from_bytes(sha256(text.encode()).digest()[:8], "big") % 100
    for name, share in SPLITS.items():
        if place < share:
            return name
        place -= share
    raise AssertionError("the shares add up to 100")


def seeded(task: str, split: str, seed: int) -> random.Random:
    """Chance that depends on nothing but its arguments. Raises InputError for a split that does not exist."""
    if split not in SPLITS:
        raise InputError(f"{split!r} is not a split of the small world; there are: {', '.join(SPLITS)}")
    return random.Random(f"{task}/{split}/{seed}")


@cache
def full_names(split: str, share: float = 1.0) -> tuple[tuple[str, str], ...]:
    """First and last names whose pair belongs to `split`; each part also occurs in training.

    `share` takes the beginning of each table alone.
    """
    pairs = product(beginning(FIRST_NAMES, share), beginning(LAST_NAMES, share))
    return tuple(pair for pair in pairs if split_of(" ".join(pair)) == split)


def beginning(table: tuple[str, ...], share: float) -> tuple[str, ...]:
    """The first `share` of a table, at least two."""
    return table[: max(2, round(share * len(table)))]


def drawn(split: str, make: Callable[[], Made], prompt: Callable[[Made], str]) -> Made:
    """The first thing made whose prompt belongs to `split`: no two splits share one."""
    while split_of(prompt(made := make())) != split:
        pass
    return made
