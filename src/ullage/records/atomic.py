"""Files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from errno import EINVAL
from pathlib import Path
from secrets import token_hex

from ullage.files import check_ordinary


def write_with(path: Path, write: Callable[[Path], object], unique: bool = False) -> None:
    """Lets `write` make a file beside `path`, then moves it there once it is safely on disk.

    That file is PATH.tmp, and whatever bears that name is replaced: right for a run's own folder. `unique`
    takes a name that nobody else has. Raises OSError where a device or a pipe is, such as /dev/null, whose
    place the file would take.
    """
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "is no ordinary file", str(path))
    temporary = path.with_name(f".{path.name}.{token_hex(8)}.tmp" if unique else f"{path.name}.tmp")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str, unique: bool = False) -> None:
    """UTF-8 text, whole or not at all; `unique` as in `write_with`."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(text.encode("utf-8", "surrogatepass"))  # a file's name may be no text

    write_with(path, write, unique)


def write_json(path: Path, value: object, unique: bool = False) -> None:
    """What json can write, as an indented document, whole or not at all; `unique` as in `write_with`."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", unique)


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes. Raises FormatError for what is no file on a disk, and may have no end."""
    check_ordinary(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
