"""How much may be said to a role."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ullage.serving.refusal import Refusal

CHARACTERS: Final = 256
"""Of a token, on average over a text, at most: twice the longest in the vocabularies of Llama 3 and Qwen,
which is 128 spaces."""


def check_characters(name: str, texts: Iterable[str], room: int, param: str) -> None:
    """Raises Refusal for texts that cannot be `room` tokens, without counting these: of ten million that
    takes half a minute and a gigabyte, and everybody waits."""
    characters = sum(map(len, texts))
    if characters > room * CHARACTERS:
        raise _refused(f"role {name}: {param} has {characters:,} characters", room, param)


def too_long(name: str, tokens: int, room: int, param: str) -> Refusal:
    """More was said than a role is planned for."""
    return _refused(f"role {name}: {param} takes {tokens:,} tokens", room, param)


def _refused(said: str, room: int, param: str) -> Refusal:
    return Refusal(
        400,
        f"{said}, and the role is planned for prompts of {room:,} tokens; shorten it, or plan for more: "
        "prompt_tokens",
        "context_length_exceeded",
        param=param,
    )
