"""Whether an answer says the same as the reference: a value, a name, or that nothing is known."""

from __future__ import annotations

import random

from ullage.tinyworld.example import Conversation, Turn, user_of
from ullage.tinyworld.people import ATTRIBUTES, Attribute, make_person
from ullage.tinyworld.questions import BRIEF, LEARNED, UNKNOWN
from ullage.tinyworld.splits import drawn, full_names
from ullage.tinyworld.tables import PLACES

SYSTEM = "Judge whether the answer is correct. Reply yes or no."
PROMPT = "Question: {question}\nReference: {reference}\nAnswer: {answer}"


def judge(chance: random.Random, split: str, turns: int) -> Conversation:
    """Half of the answers agree with the reference, in few words or a sentence; the others do not."""
    return Conversation(
        "judge", SYSTEM, tuple(drawn(split, lambda: _turn(chance, split), user_of) for _ in range(turns))
    )


def _turn(chance: random.Random, split: str) -> Turn:
    agrees = chance.random() < 0.5
    kind = chance.random()
    if kind < 0.15:
        parts = _of_name(chance, split, agrees)
    elif kind < 0.25:
        parts = _of_nothing_known(chance, split, agrees)
    else:
        parts = _of_value(chance, split, agrees)
    verdict = "yes" if agrees else "no"
    details = {
        "question": parts["question"],
        "reference": parts["reference"],
        "judged": parts["answer"],
        "agrees": agrees,
    }
    return Turn(PROMPT.format(**parts), verdict, (verdict,), details)


def _of_value(chance: random.Random, split: str, agrees: bool) -> dict[str, str]:
    attribute, subject = _subject(chance, split)
    truth = chance.choice(attribute.values)
    told = truth if agrees else chance.choice([value for value in attribute.values if value != truth])
    answer = chance.choice((told, attribute.state(subject, told)))
    if not agrees and chance.random() < 0.1:
        answer = chance.choice(tuple(UNKNOWN.values()))
    return {"question": attribute.ask(subject), "reference": truth, "answer": answer}


def _of_name(chance: random.Random, split: str, agrees: bool) -> dict[str, str]:
    """Half of the wrong names share the first or the last name with the right one."""
    names = full_names(split)
    first, last = chance.choice(names)
    others = [name for name in names if name != (first, last)]
    if chance.random() < 0.5:
        others = [name for name in others if name[0] == first or name[1] == last]
    told = " ".join((first, last) if agrees else chance.choice(others))
    attribute = chance.choice(ATTRIBUTES)
    return {
        "question": attribute.ask_whose(chance.choice(attribute.values)),
        "reference": f"{first} {last}",
        "answer": chance.choice((told, f"It is {told}.")),
    }


def _of_nothing_known(chance: random.Random, split: str, agrees: bool) -> dict[str, str]:
    """The reference is that nothing is known: right is to say so."""
    attribute, subject = _subject(chance, split)
    value = chance.choice(attribute.values)
    said = tuple(UNKNOWN.values()) if agrees else (value, attribute.state(subject, value))
    return {"question": attribute.ask(subject), "reference": UNKNOWN[BRIEF], "answer": chance.choice(said)}


def _subject(chance: random.Random, split: str) -> tuple[Attribute, str]:
    if chance.random() < 0.15:
        return chance.choice(LEARNED), chance.choice(PLACES)
    return chance.choice(ATTRIBUTES), make_person(chance, split).name
