"""The text of token ids that come one after another, without reading all of them each time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from ullage.runtime.tokenizer import Tokenizer

Decode = Callable[[Sequence[int]], str]
"""Token ids as text."""
UNKNOWN: Final = "\ufffd"
"""What stands for bytes that are no character, or not one yet."""
CONTEXT: Final = 16
"""Tokens after which a new place to go on from is looked for: what a decoder does to a token (a blank less at
the beginning, punctuation drawn closer) depends on those right before it."""
CHARACTERS: Final = 8
"""Of text that these must have: more than any that is drawn closer."""
_BYTE: Final = re.compile("<0x[0-9A-Fa-f]{2}>")


class Spelling:
    """Ids as text, grown by one at a time; a step reads some 2 x CONTEXT of them, and all only where their
    text changes further back.

    Invariant: `text` is what `decode` makes of all ids, for decoders whose text of a token depends on no
    more than the CONTEXT before it, and within a run of single bytes on all of these.
    """

    def __init__(self, decode: Decode, name: Callable[[int], str]) -> None:
        """`name` is a token as its vocabulary writes it. `ends_byte` says that the last id which has a text
        is a single byte, whose text those that follow may change."""
        self._decode, self._name = decode, name
        self.ids: list[int] = []
        self.text = ""
        self.ends_byte = False
        self._from = self._to = 0
        self._settled = self._context = ""

    def add(self, token: int) -> None:
        """Adds one more."""
        self.ids.append(token)
        before, found = self.text, self._decode(self.ids[self._from :])
        if found.startswith(self._context):
            self.text = self._settled + found[len(self._context) :]
        else:
            self.text = self._decode(self.ids)
        if _BYTE.fullmatch(self._name(token)):
            self.ends_byte = True
        elif self.text != before:  # a special token, which is left out, does not end a run of bytes
            self.ends_byte = False
        if len(self.ids) - self._to >= CONTEXT and not (self.ends_byte or self.text.endswith(UNKNOWN)):
            self._go_on_from_here()

    def _go_on_from_here(self) -> None:
        context = self._decode(self.ids[self._to :])
        if len(context.strip()) >= CHARACTERS and self.text.endswith(context.lstrip()):
            self._from, self._to = self._to, len(self.ids)
            self._settled, self._context = self.text, context


def decode(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """The text of some ids, special tokens left out."""
    text = tokenizer.decode(list(tokens), skip_special_tokens=True)
    assert isinstance(text, str)
    return text


def spelling_of(tokenizer: Tokenizer) -> Spelling:
    """The text of a tokenizer's ids, from none on."""
    return Spelling(
        lambda ids: decode(tokenizer, ids), lambda token: str(tokenizer.convert_ids_to_tokens(token))
    )


def _instead(tokens: Sequence[int], others: Sequence[int], tokenizer: Tokenizer) -> list[str]:
    """What each of `others` would have added as text in place of the last of `tokens`; of a part of a
    character nothing, of a special token its name."""
    before, special = list(tokens[-1 - CONTEXT : -1]), set(tokenizer.all_special_ids)
    text = decode(tokenizer, before)
    found = []
    for other in others:
        added = decode(tokenizer, [*before, other])
        added = added[len(text) :] if added.startswith(text) else decode(tokenizer, [other])
        name = str(tokenizer.convert_ids_to_tokens(other))
        found.append(name if other in special else added.rstrip(UNKNOWN))
    return found


def told(
    tokens: Sequence[int], likeliest: Sequence[Sequence[tuple[int, float]]], tokenizer: Tokenizer
) -> tuple[tuple[tuple[str, float], ...], ...]:
    """Of each of `tokens` the texts and the logarithms of those that were `likeliest` in its place."""
    found = []
    for at, some in enumerate(likeliest[: len(tokens)]):
        texts = _instead(tokens[: at + 1], [other for other, _ in some], tokenizer)
        found.append(tuple(zip(texts, (logprob for _, logprob in some), strict=True)))
    return tuple(found)


def generated_offsets(
    text: str, new_tokens: Sequence[int], tokenizer: Tokenizer
) -> tuple[str, list[tuple[int, int]]]:
    """The text with its continuation, and where each new token's characters are in it.

    A token that ends inside a character has the place where that character begins.
    """
    whole = text + decode(tokenizer, new_tokens)
    offsets, begin = [], len(text)
    spelling = spelling_of(tokenizer)
    for token in new_tokens:
        spelling.add(token)
        end = len(text) + len(spelling.text.rstrip(UNKNOWN))
        end = min(max(end, begin), len(whole))
        offsets.append((begin, end))
        begin = end
    return whole, offsets
