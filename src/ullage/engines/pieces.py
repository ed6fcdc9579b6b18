"""A reply's text, token by token, as far as nothing that follows can change it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ullage.capture.spelling import UNKNOWN, Spelling, spelling_of
from ullage.engines.engine import Piece, Reply
from ullage.runtime.tokenizer import Tokenizer

CLEANED: Final = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
"""What tokenizers with `clean_up_tokenization_spaces` write closer together, once it is complete."""


class Pieces:
    """Pieces of one reply, given out as it grows.

    Law: their texts, joined, are the reply's, and each is where the reply's offsets have its token; what
    those leave at the end belongs to the last. A tokenizer may change what it wrote only where the
    text ends in a part of a character or in `CLEANED`, and within a run of single bytes.
    """

    def __init__(self, spelling: Spelling, stops: Sequence[str], cleans: bool = False) -> None:
        """`spelling` has no ids yet; `cleans` says that `CLEANED` is written closer."""
        self._spelling = spelling
        self._held = (*stops, *(CLEANED if cleans else ()))
        self._ends: list[int] = []
        self._whole: list[bool] = []
        self._before_bytes = 0
        self._given = 0
        self._said = ""

    def grown(self, token: int) -> Iterator[Piece]:
        """What is certain now that the reply has one token more."""
        self._spelling.add(token)
        text = self._spelling.text
        before = self._ends[-1] if self._ends else 0
        self._ends.append(max(before, len(text.rstrip(UNKNOWN))))
        self._whole.append(self._ends[-1] > before and not text.endswith(UNKNOWN))
        if not self._spelling.ends_byte:
            self._before_bytes = self._ends[-1]
        if not text.startswith(self._said):
            return
        most = min(self._before_bytes, len(text) - held_back(text, self._held))
        ready = self._given
        for place in range(self._given, len(self._ends)):
            if self._ends[place] > most:
                break
            if self._whole[place]:
                ready = place + 1
        for place in range(self._given, ready):
            yield self._piece(self._spelling.ids[place], text, self._ends[place])

    def rest(self, reply: Reply) -> Iterator[Piece]:
        """What is left of a reply that has ended."""
        last = len(reply.tokens) - 1
        for place in range(self._given, len(reply.tokens)):
            end = len(reply.text) if place == last else reply.offsets[place][1]
            yield self._piece(reply.tokens[place], reply.text, end)

    def _piece(self, token: int, text: str, end: int) -> Piece:
        piece = Piece(token, text[len(self._said) : end])
        self._said += piece.text
        self._given += 1
        return piece


def pieces_of(tokenizer: Tokenizer, stops: Sequence[str]) -> Pieces:
    """Of a reply that a tokenizer spells, and that one of `stops` ends."""
    return Pieces(
        spelling_of(tokenizer), stops, bool(getattr(tokenizer, "clean_up_tokenization_spaces", False))
    )


def held_back(text: str, stops: Sequence[str]) -> int:
    """Characters at the end of `text` with which one of `stops` may begin."""
    return max(
        (
            size
            for stop in stops
            for size in range(1, min(len(stop), len(text) + 1))
            if text.endswith(stop[:size])
        ),
        default=0,
    )
