"""A picture that was painted, as a file of its own."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path


def keep_picture(png: bytes, folder: Path) -> Path:
    """Writes picture-N.png, of the first number that no file has: nothing is written over, a link neither.

    For its owner alone to read. Raises OSError where it cannot be written.
    """
    for number in count(1):
        path = folder / f"picture-{number}.png"
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(file, "wb") as opened:
            opened.write(png)
        return path
    raise AssertionError
