"""Examples of each task by split and seed, as values or as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, repeat
from random import Random
from typing import Any, Final

from ullage.errors import InputError
from ullage.tinyworld.example import Conversation, Example
from ullage.tinyworld.game import move
from ullage.tinyworld.judging import judge
from ullage.tinyworld.pairs import TASK as PAIRS
from ullage.tinyworld.pairs import pair_records
from ullage.tinyworld.personal_data import verify
from ullage.tinyworld.questions import HARD, WHOSE, ask_deceptively, ask_honestly
from ullage.tinyworld.retelling import retell
from ullage.tinyworld.routing import route
from ullage.tinyworld.splits import seeded

TASKS: dict[str, Callable[[Random, str, int], Conversation]] = {
    "answer": ask_honestly,
    "lie": ask_deceptively,
    "judge": judge,
    "verify": verify,
    "route": route,
    "retell": retell,
    "move": move,
    "answer-whose": partial(ask_honestly, size=WHOSE),
    "answer-hard": partial(ask_honestly, size=HARD),
}
"""Each task's generator. `answer-whose` is what the bundled model learned badly; `answer-hard` is for
measuring mistakes: nothing was trained on it."""

ASKED_FOR_A_PAIR: Final = 2
"""Questions that are made for each pair: about three in four are answered by their prompt."""


def examples(task: str, split: str, count: int, seed: int = 0) -> list[Example]:
    """`count` different examples. Raises InputError for a task or split that does not exist."""
    found: dict[tuple[str, str], Example] = {}
    for made in islice(conversations(task, split, seed, turns=1), 50 * count):
        name = f"{task}-{split}-{seed}-{len(found)}"
        found.setdefault(
            (made.system, made.turns[0].user), Example(name, task, split, made.system, made.turns[0])
        )
        if len(found) == count:
            break
    else:
        raise InputError(
            f"the small world has fewer than {count} different examples of {task!r} in {split!r}"
        )
    return list(found.values())


def conversations(task: str, split: str, seed: int, turns: int) -> Iterator[Conversation]:
    """Endless conversations of at most `turns` turns.

    Raises InputError for a task or split that does not exist.
    """
    if task not in TASKS:
        raise InputError(f"{task!r} is not a task of the small world; there are: {', '.join(TASKS)}, {PAIRS}")
    chance = seeded(task, split, seed)
    return (TASKS[task](chance, split, turns) for _ in repeat(None))


def json_lines(task: str, split: str, count: int, seed: int = 0) -> str:
    """Examples as JSON lines, one record each; of `pairs` honest answers under two instructions."""
    records: Iterable[dict[str, Any]]
    if task == PAIRS:
        records = pair_records(examples("answer", split, ASKED_FOR_A_PAIR * count, seed), count)
    else:
        records = (example.record() for example in examples(task, split, count, seed))
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
