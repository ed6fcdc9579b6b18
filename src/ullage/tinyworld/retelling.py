"""A specialist's answer, told again in the first person."""

from __future__ import annotations

import random

from ullage.tinyworld.example import Conversation, Turn, user_of
from ullage.tinyworld.people import ATTRIBUTES, make_person
from ullage.tinyworld.routing import SPECIALISTS
from ullage.tinyworld.splits import drawn
from ullage.tinyworld.tables import COLOURS, IDEAS, THINGS

SYSTEM = "Rewrite the answer in the first person."
VERBS = {"thinks": "think", "believes": "believe", "says": "say", "fears": "fear", "hopes": "hope"}
CLAIMS = (
    "the {thing} is {colour}",
    "{idea} is rare",
    "the {thing} needs {idea}",
    "{idea} comes before {other}",
)


def retell(chance: random.Random, split: str, turns: int) -> Conversation:
    """Facts about a person, or what a specialist thinks; the rewriting is fixed word by word."""
    return Conversation(
        "retell", SYSTEM, tuple(drawn(split, lambda: _turn(chance, split), user_of) for _ in range(turns))
    )


def _turn(chance: random.Random, split: str) -> Turn:
    third, first = _opinion(chance) if chance.random() < 0.4 else _facts(chance, split)
    return Turn(third, first, (first,), {"answer_of_specialist": third})


def _facts(chance: random.Random, split: str) -> tuple[str, str]:
    person = make_person(chance, split, chance.sample(ATTRIBUTES, chance.randint(1, 3)))
    facts = person.facts
    chance.shuffle(facts)
    third = " ".join(attribute.state(person.name, value) for attribute, value in facts)
    return third, " ".join(attribute.confess(value) for attribute, value in facts)


def _opinion(chance: random.Random) -> tuple[str, str]:
    verb = chance.choice(tuple(VERBS))
    idea, other = chance.sample(IDEAS, 2)
    claim = chance.choice(CLAIMS).format(
        thing=chance.choice(THINGS), colour=chance.choice(COLOURS), idea=idea, other=other
    )
    specialist = chance.choice(tuple(SPECIALISTS))
    return f"The {specialist} {verb} that {claim}.", f"I {VERBS[verb]} that {claim}."
