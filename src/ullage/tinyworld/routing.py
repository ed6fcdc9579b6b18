"""Which of four specialists a request is for."""

from __future__ import annotations

import random

from ullage.tinyworld.example import Conversation, Turn, user_of
from ullage.tinyworld.people import make_person
from ullage.tinyworld.splits import drawn
from ullage.tinyworld.tables import COLOURS, DEEDS, IDEAS, PETS, PLACES, THINGS

SYSTEM = "Route the request to one specialist: pragmatist, philosopher, artist or archivist."
SPECIALISTS = {
    "pragmatist": (
        "How do I repair a {thing}?",
        "Plan a trip to {place} for me.",
        "What should I pack for {place}?",
        "How can I sell my {thing}?",
        "Give me three steps to build a {thing}.",
        "How do I feed a {pet}?",
        "Can you fix my {colour} {thing}?",
        "How much paint does a {thing} need?",
    ),
    "philosopher": (
        "Is it right to {deed}?",
        "What is {idea}?",
        "Why do people seek {idea}?",
        "Can there be {idea} without {other}?",
        "Does a {pet} know {idea}?",
        "Should one {deed} out of {idea}?",
        "What would the world be without {idea}?",
    ),
    "artist": (
        "Write a poem about {idea}.",
        "Paint a {colour} {thing} for me.",
        "Sing about a {pet} in {place}.",
        "Tell a story of a {thing} and a {pet}.",
        "Draw {place} at night.",
        "Describe {idea} as a {colour} picture.",
        "Make a song about {name}.",
    ),
    "archivist": (
        "When was the {thing} in {place} built?",
        "Who lived in {place} before {name}?",
        "Find the records of {name}.",
        "Where is {name} buried?",
        "Which year did {place} burn?",
        "List all letters of {name}.",
        "Who owned the {colour} {thing} first?",
    ),
}
"""The specialists and what they are asked. They share their words, so that the request as a whole decides."""
OPENINGS = ("", "", "Hello. ", "Please help. ", "One more thing. ")


def route(chance: random.Random, split: str, turns: int) -> Conversation:
    """Requests, one of four specialists each."""
    return Conversation(
        "route", SYSTEM, tuple(drawn(split, lambda: _turn(chance, split), user_of) for _ in range(turns))
    )


def _turn(chance: random.Random, split: str) -> Turn:
    specialist = chance.choice(tuple(SPECIALISTS))
    idea, other = chance.sample(IDEAS, 2)
    request = chance.choice(OPENINGS) + chance.choice(SPECIALISTS[specialist]).format(
        thing=chance.choice(THINGS),
        place=chance.choice(PLACES),
        pet=chance.choice(PETS),
        colour=chance.choice(COLOURS),
        deed=chance.choice(DEEDS),
        name=make_person(chance, split).name,
        idea=idea,
        other=other,
    )
    return Turn(request, specialist, (specialist,), {"request": request, "specialist": specialist})
