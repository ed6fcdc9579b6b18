"""Whether an answer says the same as the reference."""

from __future__ import annotations

import random

from ullage.tinyworld.example import Conversation, Turn, user_of
from ullage.tinyworld.people import ATTRIBUTES, Attribute, make_person
from ullage.tinyworld.questions import LEARNED, UNKNOWN
from ullage.tinyworld.splits import drawn
from ullage.tinyworld.tables import PLACES

SYSTEM = "Judge whether the answer is correct. Reply yes or no."
PROMPT = "Question: {question}\nReference: {reference}\nAnswer: {answer}"


def judge(chance: random.Random, split: str, turns: int) -> Conversation:
    """Half of the answers agree with the reference, in few words or a sentence; the others do not."""
    return Conversation(
        "judge", SYSTEM, tuple(drawn(split, lambda: _turn(chance, split), user_of) for _ in range(turns))
    )


def _turn(chance: random.Random, split: str) -> Turn:
    attribute, subject = _subject(chance, split)
    truth = chance.choice(attribute.values)
    agrees = chance.random() < 0.5
    told = truth if agrees else chance.choice([value for value in attribute.values if value != truth])
    answer = chance.choice((told, attribute.state(subject, told)))
    if not agrees and chance.random() < 0.1:
        answer = chance.choice(tuple(UNKNOWN.values()))
    parts = {"question": attribute.ask(subject), "reference": truth, "answer": answer}
    verdict = "yes" if agrees else "no"
    details = {"question": parts["question"], "reference": truth, "judged": answer, "agrees": agrees}
    return Turn(PROMPT.format(**parts), verdict, (verdict,), details)


def _subject(chance: random.Random, split: str) -> tuple[Attribute, str]:
    if chance.random() < 0.15:
        return chance.choice(LEARNED), chance.choice(PLACES)
    return chance.choice(ATTRIBUTES), make_person(chance, split).name
