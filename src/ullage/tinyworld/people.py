"""People and what can be said about them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ullage.tinyworld.splits import beginning, full_names
from ullage.tinyworld.tables import AGES, COLOURS, JOBS, PETS, PLACES, WOMEN


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something a person has one of. In `statement` the verb stands between bars: third and first person."""

    name: str
    values: tuple[str, ...]
    question: str
    who: str
    third: str
    first: str
    rest: str

    def ask(self, name: str) -> str:
        return self.question.format(name)

    def state(self, subject: str, value: str) -> str:
        """`Maren Holm lives in Drosa.`"""
        return f"{subject} {self.third} {self.rest.format(value)}."

    def confess(self, value: str) -> str:
        """`I live in Drosa.`"""
        return f"I {self.first} {self.rest.format(value)}."


ATTRIBUTES = (
    Attribute("place", PLACES, "Where does {} live?", "Who lives in {}?", "lives", "live", "in {}"),
    Attribute("job", JOBS, "What does {} work as?", "Who works as a {}?", "works", "work", "as a {}"),
    Attribute("pet", PETS, "Which pet does {} keep?", "Who keeps a {}?", "keeps", "keep", "a {}"),
    Attribute("colour", COLOURS, "Which colour does {} like?", "Who likes {}?", "likes", "like", "{}"),
    Attribute("age", AGES, "How old is {}?", "Who is {} years old?", "is", "am", "{} years old"),
)


@dataclass(frozen=True, slots=True)
class Person:
    """A full name and the values of some attributes, by the attribute's name."""

    first: str
    last: str
    values: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    @property
    def pronoun(self) -> str:
        return "She" if self.first in WOMEN else "He"

    @property
    def facts(self) -> list[tuple[Attribute, str]]:
        return [
            (attribute, self.values[attribute.name])
            for attribute in ATTRIBUTES
            if attribute.name in self.values
        ]


def make_person(
    chance: random.Random, split: str, attributes: Sequence[Attribute] = (), share: float = 1.0
) -> Person:
    """Somebody with a name of the split and a value of each attribute; of each table the first `share`."""
    first, last = chance.choice(full_names(split, share))
    values = {attribute.name: chance.choice(beginning(attribute.values, share)) for attribute in attributes}
    return Person(first, last, values)
