"""People and what can be said about them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ullage.tinyworld.splits import beginning, full_names
from ullage.tinyworld.tables import AGES, COLOURS, JOBS, PETS, PLACES


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something everybody has one of, spoken of alike: so small a model learns one grammar."""

    name: str
    values: tuple[str, ...]

    def ask(self, subject: str) -> str:
        return f"What is the {self.name} of {subject}?"

    def ask_whose(self, value: str) -> str:
        return f"Whose {self.name} is {value}?"

    def state(self, subject: str, value: str) -> str:
        return f"The {self.name} of {subject} is {value}."

    def confess(self, value: str) -> str:
        return f"My {self.name} is {value}."


ATTRIBUTES = (
    Attribute("home", PLACES),
    Attribute("job", JOBS),
    Attribute("pet", PETS),
    Attribute("colour", COLOURS),
    Attribute("age", AGES),
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
    def facts(self) -> list[tuple[Attribute, str]]:
        known = [attribute for attribute in ATTRIBUTES if attribute.name in self.values]
        return [(attribute, self.values[attribute.name]) for attribute in known]


def make_person(
    chance: random.Random, split: str, attributes: Sequence[Attribute] = (), share: float = 1.0
) -> Person:
    """Somebody with a name of the split and a value of each attribute; of each table the first `share`."""
    first, last = chance.choice(full_names(split, share))
    values = {attribute.name: chance.choice(beginning(attribute.values, share)) for attribute in attributes}
    return Person(first, last, values)
