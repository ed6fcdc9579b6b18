"""People and what can be said about them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from ullage.tinyworld.splits import full_names
from ullage.tinyworld.tables import AGES, COLOURS, JOBS, PETS, PLACES, WOMEN


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something a person has one of. In `statement` the verb stands between bars: third and first person."""

    name: str
    values: tuple[str, ...]
    question: str
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
    Attribute("place", PLACES, "Where does {} live?", "lives", "live", "in {}"),
    Attribute("job", JOBS, "What does {} work as?", "works", "work", "as a {}"),
    Attribute("pet", PETS, "Which pet does {} keep?", "keeps", "keep", "a {}"),
    Attribute("colour", COLOURS, "Which colour does {} like?", "likes", "like", "{}"),
    Attribute("age", AGES, "How old is {}?", "is", "am", "{} years old"),
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


def make_people(
    chance: random.Random, split: str, count: int, facts: Callable[[], int], namesakes: bool = False
) -> list[Person]:
    """`count` people, each with `facts()` facts; first names differ unless `namesakes`."""
    names = full_names(split)
    people: dict[str, Person] = {}
    while len(people) < count:
        first, last = chance.choice(names)
        if namesakes and people and chance.random() < 0.5:
            taken = next(iter(people.values())).first
            first, last = chance.choice([pair for pair in names if pair[0] == taken])
        known = chance.sample(ATTRIBUTES, facts())
        values = {attribute.name: chance.choice(attribute.values) for attribute in known}
        people.setdefault(f"{first} {last}" if namesakes else first, Person(first, last, values))
    return list(people.values())
