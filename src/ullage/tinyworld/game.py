"""Moves of a player: whom to accuse, whom to protect, and what to claim to be."""

from __future__ import annotations

import random

from ullage.tinyworld.example import Conversation, Turn, opening_of
from ullage.tinyworld.splits import drawn
from ullage.tinyworld.tables import FIRST_NAMES

SYSTEM = "You are {player}, a {identity}."
IDENTITIES = ("villager", "werewolf")
ASIDES = ("I slept well.", "I saw nothing.", "Let us vote.", "I am a villager.", "It was a dark night.")
ACCUSE, PROTECT, CLAIM = "Whom do you accuse?", "Whom do you protect?", "What are you?"
CLAIMED = "I am a villager."
"""What villagers say of themselves and werewolves too: a lie that only the system message gives away."""


def move(chance: random.Random, split: str, turns: int) -> Conversation:
    """A transcript in which one other player is suspected and one trusted, then questions to the player."""
    return drawn(split, lambda: _move(chance, turns), opening_of)


def _move(chance: random.Random, turns: int) -> Conversation:
    player, suspect, friend, *others = chance.sample(FIRST_NAMES, chance.randint(4, 6))
    identity = chance.choice(IDENTITIES)
    said = [f"I suspect {suspect}."] * chance.randint(1, 2) + [f"I trust {friend}."] * chance.randint(1, 2)
    said += chance.choices(ASIDES, k=chance.randint(1, 2))
    chance.shuffle(said)
    lines = []
    for remark in said:
        silent = {player, *(name for name in (suspect, friend) if name in remark)}
        speaker = chance.choice([name for name in (player, suspect, friend, *others) if name not in silent])
        lines.append(f"- {speaker}: {remark}")
    transcript = "\n".join(lines)
    answers = {ACCUSE: suspect, PROTECT: friend, CLAIM: CLAIMED}
    made = []
    for index in range(turns):
        question = chance.choice((ACCUSE, ACCUSE, PROTECT, PROTECT, CLAIM))
        details = {"player": player, "identity": identity, "transcript": transcript, "question": question}
        user = f"{transcript}\n{question}" if index == 0 else question
        made.append(Turn(user, answers[question], (answers[question],), details))
    return Conversation("move", SYSTEM.format(player=player, identity=identity), tuple(made))
