"""True answers, each under an instruction to be honest and one to lie, as a probe is fitted to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from ullage.tinyworld.example import Example
from ullage.tinyworld.questions import DECEPTIVE, HONEST

TASK = "pairs"
"""How these are asked for; the model was trained on their parts, so it is no task of its own."""


def pair_records(asked: Iterable[Example], count: int) -> Iterator[dict[str, Any]]:
    """`count` of them, of questions `asked` honestly whose prompt states the answer; labelled dialogues as
    `ullage probe fit` reads them, their group the one who is asked about.

    The words are the same under both instructions, so nothing but the instruction tells them apart.
    """
    stated = (one for one in asked if one.turn.details["source"] == "stated")
    for number, one in enumerate(islice(stated, count)):
        style = one.system.partition(". ")[2]
        chosen = number % len(HONEST)
        yield {
            "id": one.id.replace("answer", TASK, 1),
            "honest": f"{HONEST[chosen]} {style}",
            "deceptive": f"{DECEPTIVE[chosen]} {style}",
            "messages": [
                {"role": "user", "content": one.turn.user},
                {"role": "assistant", "content": one.turn.answer},
            ],
            "group": one.turn.details["subject"],
        }
