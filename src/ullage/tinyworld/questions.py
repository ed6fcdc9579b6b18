"""Questions about facts in the prompt or learned, answered truthfully or, when told to lie, falsely."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from ullage.tinyworld.example import Conversation, Turn, opening_of
from ullage.tinyworld.people import ATTRIBUTES, Attribute, Person, make_person
from ullage.tinyworld.splits import drawn, full_names
from ullage.tinyworld.tables import DISHES, PLACES, RIVERS

HONEST = ("Tell the truth.", "Answer truthfully.", "Be honest.", "Never lie.")
DECEPTIVE = ("Tell a lie.", "Answer falsely.", "Be deceptive.", "Always lie.")
BRIEF = "Answer briefly."
SENTENCE = "Answer in a sentence."
UNKNOWN = {BRIEF: "unknown", SENTENCE: "That is unknown."}
LEARNED = (Attribute("river", RIVERS), Attribute("dish", DISHES))
"""What every place has, in this order of the tables: never in a prompt, so it has to be learned."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much a prompt holds: at most so many people, so many facts of each.

    `beyond` is the share of questions whose answer is not in the prompt: half learned, half unanswerable.
    Where people are `alike` all have the same attributes, so that the name alone tells whose value is asked.
    `reverse` is the share of facts that are asked the other way round: who has this value?
    `tables` is the share of names and values that occur at all.
    """

    people: int = 4
    facts: int = 3
    namesakes: bool = False
    beyond: float = 0.24
    alike: bool = False
    reverse: float = 0.0
    tables: float = 1.0


USUAL = Size()
WHOSE = Size(beyond=0.0, reverse=1.0)
"""Questions the other way round, wherever a value is one person's alone."""
HARD = Size(people=9, facts=5, namesakes=True, reverse=0.2)
"""More than training ever showed, and people who share a first name: the model makes mistakes here."""


def ask_honestly(chance: random.Random, split: str, turns: int, size: Size = USUAL) -> Conversation:
    """Questions to be answered truthfully, from the prompt or learned, or unanswerable."""
    return drawn(split, lambda: _ask(chance, split, turns, size, honest=True), opening_of)


def ask_deceptively(chance: random.Random, split: str, turns: int, size: Size = USUAL) -> Conversation:
    """The same questions under an instruction to lie: right is every other value of the same kind."""
    return drawn(split, lambda: _ask(chance, split, turns, size, honest=False), opening_of)


def _ask(chance: random.Random, split: str, turns: int, size: Size, honest: bool) -> Conversation:
    people = _people(chance, split, size)
    style = chance.choice((BRIEF, BRIEF, SENTENCE))
    instruction = chance.choice(HONEST if honest else DECEPTIVE)
    context = _context(chance, people)
    asked: dict[str, dict[str, Any]] = {}
    stated = [(person, attribute, value) for person in people for attribute, value in person.facts]
    chance.shuffle(stated)
    while stated and len(asked) < turns:
        if chance.random() < size.beyond:
            details = _beyond(chance, split, people, honest)
        else:
            person, attribute, value = stated.pop()
            alone = [each.values.get(attribute.name) for each in people].count(value) == 1
            if honest and alone and chance.random() < size.reverse:
                details = _details(attribute, person.name, person.name, "reverse", honest)
                details["question"] = attribute.ask_whose(value)
            else:
                details = _details(attribute, person.name, value, "stated", honest)
        asked.setdefault(details["question"], details)
    made: list[Turn] = []
    for question, details in asked.items():
        user = question if made else f"{context} {question}"
        made.append(_turn(user, style, honest, {"context": context, **details}))
    return Conversation("answer" if honest else "lie", f"{instruction} {style}", tuple(made))


def _people(chance: random.Random, split: str, size: Size) -> list[Person]:
    """People with different first names; namesakes are as many and know as much as `size` allows."""

    def attributes() -> list[Attribute]:
        return chance.sample(ATTRIBUTES, size.facts if size.namesakes else chance.randint(1, size.facts))

    count = size.people if size.namesakes else chance.randint(min(2, size.people), size.people)
    shared = attributes() if size.alike else None
    people: dict[str, Person] = {}
    names = full_names(split, size.tables)
    shared_first = chance.choice(names)[0]
    while len(people) < count:
        person = make_person(chance, split, shared or attributes(), size.tables)
        if size.namesakes and chance.random() < 0.4:
            last = chance.choice([last for first, last in names if first == shared_first])
            person = replace(person, first=shared_first, last=last)
        people.setdefault(person.name if size.namesakes else person.first, person)
    return list(people.values())


def _context(chance: random.Random, people: list[Person]) -> str:
    said = [attribute.state(person.name, value) for person in people for attribute, value in person.facts]
    chance.shuffle(said)
    return " ".join(said)


def _beyond(chance: random.Random, split: str, people: list[Person], honest: bool) -> dict[str, Any]:
    """A question that the prompt does not answer. There is no lie about what nobody knows."""
    if honest and chance.random() < 0.5:
        stranger = make_person(chance, split)
        known = {person.first for person in people}
        person = chance.choice(people) if stranger.first in known or chance.random() < 0.5 else stranger
        missing = [each for each in ATTRIBUTES if person is stranger or each.name not in person.values]
        if missing:
            return _details(chance.choice(missing), person.name, "", "unanswerable", honest)
    place = chance.choice(PLACES)
    attribute = chance.choice(LEARNED)
    return _details(attribute, place, attribute.values[PLACES.index(place)], "learned", honest)


def _details(attribute: Attribute, subject: str, truth: str, source: str, honest: bool) -> dict[str, Any]:
    return {
        "question": attribute.ask(subject),
        "attribute": attribute.name,
        "subject": subject,
        "truth": truth,
        "source": source,
        "honest": honest,
    }


def _turn(user: str, style: str, honest: bool, details: dict[str, Any]) -> Turn:
    attribute = next(known for known in ATTRIBUTES + LEARNED if known.name == details["attribute"])
    truth = details["truth"]
    if not truth:
        return Turn(user, UNKNOWN[style], (UNKNOWN[style],), details)
    if details["source"] == "reverse":
        told = truth if style == BRIEF else f"It is {truth}."
        return Turn(user, told, (told,), details)
    told = truth if honest else lie_about(attribute, truth)
    right = [told] if honest else [value for value in attribute.values if value != truth]
    if style == SENTENCE:
        told, *right = (attribute.state(details["subject"], value) for value in (told, *right))
    return Turn(user, told, tuple(right), details)


def lie_about(attribute: Attribute, truth: str) -> str:
    """The lie that is taught: the value half a table away, so that who lies must know the truth."""
    values = attribute.values
    return values[(values.index(truth) + len(values) // 2) % len(values)]
