"""JSON lines that a run writes batch by batch, and takes up where it was cut short."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from ullage.errors import FormatError
from ullage.records.journal import Journal

END: Final = "end"


class LineStore:
    """The lines of one stage of a run, in `folder/STAGE.jsonl`.

    Invariant: the journal names a unit once its lines are on disk, with the length the file then had; what
    lies beyond the last length it names was never finished and is cut off.
    """

    def __init__(self, folder: Path, stage: str, journal: Journal) -> None:
        self.path = folder / f"{stage}.jsonl"
        self._stage, self._journal = stage, journal
        mine = [entry for entry in journal.entries if entry.get("stage") == stage]
        self.done = {entry["unit"] for entry in mine}
        self.finished = END in self.done
        self._length = mine[-1]["bytes"] if mine else 0
        if self.path.exists():
            if self.path.stat().st_size < self._length:
                raise FormatError(f"{self.path}: is shorter than the journal says; the run was changed")
            os.truncate(self.path, self._length)
        elif self._length:
            raise FormatError(f"{self.path}: is missing, but the journal has its lines; the run was changed")

    def add(self, unit: int | str, rows: Iterable[dict[str, Any]]) -> None:
        """Keeps the rows of a unit of work, whole or not at all."""
        lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows]
        with self.path.open("ab") as file:
            file.write("".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())
            self._length = file.tell()
        self._journal.append({"stage": self._stage, "unit": unit, "bytes": self._length})
        self.done.add(unit)

    def finish(self) -> None:
        """Says that nothing more will be added."""
        if not self.finished:
            self._journal.append({"stage": self._stage, "unit": END, "bytes": self._length})
            self.finished = True

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row kept so far, in the order of writing."""
        yield from read_lines(self.path)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a stage's file; none where it does not exist. Raises FormatError naming a line that is none."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise FormatError(f"{path}:{number}: not JSON; the run was changed") from error
            if not isinstance(row, dict):
                raise FormatError(f"{path}:{number}: not a JSON object; the run was changed")
            yield row
