"""Commands that are longer than a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SHELL: Final = "sh"
"""The language of text in which a line that ends with BREAK may go on as far as there is room."""
BREAK: Final = " \\\n"


def in_lines(options: Iterable[str], width: int) -> str:
    """Options of a command, as many in a line as there is room for, to be pasted as they are."""
    lines: list[str] = []
    for option in options:
        if lines and len(lines[-1]) + 1 + len(option) + len(BREAK) - 1 <= width:
            lines[-1] += f" {option}"
        else:
            lines.append(option)
    return BREAK.join(lines)
