"""What a reply says once its thoughts are over."""

from __future__ import annotations

from typing import Final

BEGINS: Final = "<think>"
ENDS: Final = "</think>"
"""As DeepSeek-R1 and Qwen3 write them; a prompt may hold the first, so that a reply has the last alone."""


def after_thoughts(reply: str) -> str | None:
    """What follows the thoughts that a reply begins with, all of it where there are none; None where it ended
    before they did."""
    _, ended, told = reply.rpartition(ENDS)
    if ended:
        return told.lstrip()
    return None if BEGINS in reply else reply
