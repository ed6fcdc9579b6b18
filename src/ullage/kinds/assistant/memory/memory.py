"""The protocol of a memory, and the values that go through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ullage.errors import InputError
from ullage.kinds.assistant.memory.erasure import Erased


@dataclass(frozen=True, slots=True)
class Limits:
    """`notes` a user may have, and `characters` a note; more characters are refused.

    Where a note is one too many, those of least significance go, the oldest of them first, a tenth of the
    limit at once; the note that was just added never does.
    """

    notes: int = 1000
    characters: int = 4000


@dataclass(frozen=True, slots=True)
class Note:
    """Something said. `key` is its name, of which a user has one note; `significance` is from 0 to 1; `said`
    is when, in the words that a prompt is to have."""

    key: str
    text: str
    tags: tuple[str, ...] = ()
    significance: float = 0.5
    said: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: notes like `text`, those with any of `tags` before others, `count` at most.

    What is found is what would be if there were no note of id `but`.
    """

    text: str
    tags: tuple[str, ...] = ()
    count: int = 5
    but: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A note that was found. `similarity` is the cosine of its vector and the query's; `score` ranks it."""

    id: str
    text: str
    tags: tuple[str, ...]
    significance: float
    said: str
    similarity: float
    score: float


@dataclass(frozen=True, slots=True)
class Added:
    """A note is safely in the memory, or was `known` to be; `dropped` others went: there were too many."""

    id: str
    known: bool
    dropped: int


class Memory(Protocol):
    """Notes of users, each apart from all others: no method of one user touches another's."""

    def add(self, user: str, note: Note) -> Added:
        """Keeps a note. When this returns it is there after a kill at any moment.

        A note of the same key and text is there once. Raises InputError for a key that has another text, and
        for a note that `check_note` refuses.
        """

    def search(self, user: str, query: Query) -> list[Found]:
        """The user's notes that answer best, best first."""

    def delete(self, user: str, ids: Sequence[str] | None = None) -> Erased:
        """Forgets these notes of the user, or all, and looks through every file for what is left of them."""

    def count(self, user: str) -> int:
        """How many notes the user has."""


def check_note(note: Note, limits: Limits) -> None:
    """Raises InputError for a note that says nothing, is no text, or is too long."""
    for name, value in (("key", note.key), ("text", note.text), ("said", note.said), *_named(note.tags)):
        check_words(name, value)
    if not note.text.strip() or not note.key:
        raise InputError("a note to remember has no key, or no text")
    if len(note.text) > limits.characters:
        raise InputError(
            f"a note of {len(note.text):,} characters is longer than the {limits.characters:,} that the "
            "memory takes; shorten it"
        )
    if not 0 <= note.significance <= 1:
        raise InputError(f"a note's significance is {note.significance}, not from 0 to 1")
    if not all(note.tags):
        raise InputError("a note has an empty tag")


def check_words(name: str, value: str) -> None:
    """Raises InputError for what cannot be written as UTF-8: half of a character."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"memory: {name} holds half of a character, which is no text") from error


def _named(tags: Sequence[str]) -> list[tuple[str, str]]:
    return [("a tag", tag) for tag in tags]
