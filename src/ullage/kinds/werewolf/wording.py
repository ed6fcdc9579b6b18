"""The words in which a player hears of itself, of what happened, and of what is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ullage.kinds.werewolf.asks import Ask
from ullage.kinds.werewolf.events import Event, View
from ullage.kinds.werewolf.identities import ARTICLES, side_of
from ullage.kinds.werewolf.rules import HIGHEST_BID

_QUESTIONS: Final = {
    "identity": "You have just learned who you are. Say it in a sentence; nobody hears this.",
    "night_talk": "It is night. What do you say to the other werewolves?",
    "kill": "It is night. Whom do the werewolves kill?",
    "see": "It is night. At whom do you look?",
    "save": "It is night. Whom do you protect?",
    "heal": "The werewolves have attacked {about}. Do you heal {about}?",
    "poison": "Whom do you poison?",
    "bid": f"How much do you want to speak next, from 0 (not at all) to {HIGHEST_BID} (you must)?",
    "thought": "Before you speak, think: who may be a werewolf, and what will you say? Nobody hears this.",
    "statement": "It is your turn. What do you say to all?",
    "callout": "Do you ask somebody a question?",
    "question": "What do you ask {about}?",
    "answer": "{about} has asked you. What do you answer?",
    "vote": "Whom do you vote to exile?",
    "last_words": "You leave the game. What are your last words?",
    "shoot": "You leave the game. Whom do you take along?",
}
ALOUD: Final = "Before you speak, think aloud: who may be a werewolf, and what will you say? All hear this."
_HAPPENED: Final = {
    "night_talk": "{actor} (to the werewolves): {word}",
    "kill": "{actor} wants to kill {target}.",
    "victim": "The werewolves attack {target}.",
    "saved": "You protect {target}.",
    "attacked": "The werewolves have attacked {target}.",
    "healed": "You heal {target}.",
    "poisoned": "You poison {target}.",
    "dawn": "Nobody died in the night.",
    "dies": "{target} is dead.{word}",
    "thought": "{actor} (thinking): {word}",
    "bid": "You bid {word} to speak.",
    "said": "{actor}: {word}",
    "question": "{actor} (to {target}): {word}",
    "answer": "{actor} (to {target}): {word}",
    "last_words": "{actor} (last words): {word}",
    "score": "The detector on {target}'s statement: {word}.",
    "tally": "Votes for {target}: {word}.",
    "exiled": "{target} is exiled.{word}",
    "spared": "Nobody is exiled.",
    "second_ballot": "There is a second ballot between {word}.",
    "shot": "{actor} takes {target} along.",
}
_SPOKEN: Final = ("night_talk", "thought", "said", "question", "answer", "last_words")


def own_text(view: View) -> str:
    """What the player is told of itself."""
    text = f"You are {ARTICLES[view.identity]}."
    pack = (event.target for event in view.events if event.what == "pack")
    others = [view.names[seat] for seat in pack if seat is not None and seat != view.seat]
    if others:
        text += f" So {'is' if len(others) == 1 else 'are'} {' and '.join(others)}."
    if side_of(view.identity) == "werewolves":
        text += " You win with the werewolves."
    return text


def event_text(event: Event, names: Sequence[str]) -> str:
    """One line, whatever a player wrote: nobody can write a line of another's or of the moderator's."""

    def name(seat: int | None) -> str:
        return "" if seat is None else names[seat]

    word = " ".join(event.word.split())
    if event.what in _SPOKEN:
        word = word or "(says nothing)"
    elif event.what in ("dies", "exiled") and word:
        word = f" {name(event.target)} was {ARTICLES[word]}."
    if event.what == "seen":
        found = ARTICLES[event.word] if event.word else "not a werewolf"
        return f"You looked at {name(event.target)}: {found}."
    if event.what == "ballot":
        return f"{name(event.actor)} votes for {name(event.target) or 'nobody'}."
    return _HAPPENED[event.what].format(actor=name(event.actor), target=name(event.target), word=word)


def question_text(ask: Ask, public: bool) -> str:
    """What is asked, and the answers to choose from. `public`: thoughts are heard by all."""
    about = "" if ask.about is None else ask.view.names[ask.about]
    asked = ALOUD if public and ask.purpose == "thought" else _QUESTIONS[ask.purpose].format(about=about)
    if ask.legal is None:
        return asked if ask.refused is None else f"{asked}\nYou said nothing. Say it in a sentence."
    choices = f"Answer with exactly one of: {', '.join(ask.legal)}."
    if ask.refused is None:
        return f"{asked} {choices}"
    return f"{asked}\nYour answer could not be read. {choices} Write nothing else."


def without_part(view: View) -> str:
    """What stands where the identity would, when a prompt is told without it."""
    return f"You are {view.name}."
