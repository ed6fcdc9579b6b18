"""Inputs that can be read once alone: nothing vouches for them, and no run of them is resumed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

STANDARD_INPUT: Final = "-"


def read_once(name: str, path: Path | None = None) -> bool:
    """Whether an input is standard input, a pipe, a terminal or a socket; `path` is where it lies."""
    if name == STANDARD_INPUT:
        return True
    place = Path(name) if path is None else path
    try:
        return place.is_fifo() or place.is_char_device() or place.is_socket()
    except (OSError, ValueError):
        return False


def endless(path: Path) -> bool:
    """Whether a device lies there that is neither a terminal nor the empty one. Raises OSError as `stat`."""
    found = path.stat()
    if stat.S_ISBLK(found.st_mode):
        return True
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev == Path(os.devnull).stat().st_rdev:
        return False
    with path.open("rb") as file:
        return not file.isatty()
