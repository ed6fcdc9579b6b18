"""What the roles of an assistant are given to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ullage.engines.engine import Chat, Message
from ullage.kinds.assistant.turn import Said

RETELL: Final = "Rewrite the answer in the first person."
"""The voice's instructions where the file gives none."""


def specialist_prompt(
    text: str,
    before: Sequence[Said],
    parts: Sequence[str],
    passage: str,
    fits: Callable[[Chat], bool],
) -> tuple[list[Message], int]:
    """The messages a specialist reads: a system message of `parts` that say something, as many of the turns
    `before` as fit, the newest first, and the request after the `passage` of notes; how many turns were left
    out.

    Notes stand beside the request, for where a talk lies between, small models do not go back to them: with
    six turns between, SmolLM2-135M told 1 of 16 facts from notes in the system message, 10 from notes here.
    """
    system: list[Message] = []
    said = "\n\n".join(part for part in parts if part)
    if said:
        system = [{"role": "system", "content": said}]
    own: Message = {"role": "user", "content": f"{passage}\n\n{text}" if passage else text}
    for dropped in range(len(before) + 1):
        messages = [*system, *turns(before[dropped:]), own]
        if dropped == len(before) or fits(tuple(messages)):
            return messages, dropped
    raise AssertionError


def turns(before: Sequence[Said]) -> list[Message]:
    """Earlier turns as messages."""
    found: list[Message] = []
    for each in before:
        found += [{"role": "user", "content": each.text}, {"role": "assistant", "content": each.answer}]
    return found


def voice_prompt(answer: str, instructions: str | None) -> Chat:
    """What the voice reads: its instructions, and the specialist's answer as data."""
    return (
        {"role": "system", "content": instructions or RETELL},
        {"role": "user", "content": answer},
    )
