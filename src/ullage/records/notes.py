"""What was said, and memory over time: lines of JSON, each of which vouches for itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ullage.errors import FormatError
from ullage.files import check_ordinary
from ullage.records.damage import Damage
from ullage.records.seal import read_line, sealed_line

NAMES: Final = ("log.jsonl", "timeline.jsonl")


class Notes:
    """Appends lines. A last one that a crash left incomplete is cut off first.

    Notes cost a run nothing: once they cannot be written, `lost` is told so and no more are.
    """

    def __init__(self, path: Path, lost: Callable[[str], None]) -> None:
        self._path, self._lost, self._writes = path, lost, True
        if path.is_file():
            with self._noted():
                whole = path.read_bytes().rfind(b"\n") + 1
                if whole < path.stat().st_size:
                    os.truncate(path, whole)

    def add(self, *rows: Mapping[str, object]) -> None:
        """Adds lines; they may be lost when the machine stops."""
        if self._writes:
            with self._noted(), self._path.open("ab") as file:
                file.write(b"".join(map(sealed_line, rows)))

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._writes = False
            self._lost(f"{self._path}: is not written any more: {error.strerror or error}")


def read_notes(path: Path) -> Iterator[dict[str, object]]:
    """Row by row; none where there is no file. Raises FormatError naming a line that was changed."""
    for number, row in _rows(path):
        if row is None:
            raise FormatError(f"{path}:{number}: was changed since it was written")
        yield row


def damaged_notes(folder: Path) -> list[Damage]:
    """Every line of a run's notes that was changed."""
    return [
        Damage(f"{folder / name}:{number}", "was changed since it was written")
        for name in NAMES
        for number, row in _rows(folder / name)
        if row is None
    ]


def keep_whole_notes(folder: Path) -> int:
    """Drops the lines that were changed; how many."""
    dropped = 0
    for name in NAMES:
        rows = [row for _, row in _rows(folder / name)]
        wrong = rows.count(None)
        if wrong:
            dropped += wrong
            (folder / name).write_bytes(b"".join(sealed_line(row) for row in rows if row is not None))
    return dropped


def _rows(path: Path) -> Iterator[tuple[int, dict[str, object] | None]]:
    """Each whole line's number and its row; None for one that was changed."""
    if not path.exists():
        return
    check_ordinary(path)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield number, read_line(line)
