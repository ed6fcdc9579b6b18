"""JSON lines that a run writes batch by batch, and takes up where it was cut short."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.files import check_ordinary
from ullage.records.journal import Entry, Journal

END: Final = "end"


class LineStore:
    """The lines of one stage of a run, in `folder/FILE.jsonl` for each of `files`.

    Invariant: the journal names a unit once its lines are on disk, with the lengths the files then had and
    the SHA-256 of its lines; what lies beyond the last lengths it names was never finished and is cut off.
    """

    def __init__(self, folder: Path, stage: str, journal: Journal, files: Sequence[str] = ()) -> None:
        self._stage, self._journal = stage, journal
        self._paths = {name: folder / f"{name}.jsonl" for name in files or (stage,)}
        where = f"{journal.path}: an entry of {stage}"
        self.done: set[int | str] = set()
        last: Fields | None = None
        for entry in self.entries:
            last = Fields(entry, where)
            self.done.add(_unit(last))
        self.finished = END in self.done
        self._lengths = dict.fromkeys(self._paths, 0)
        if last is not None:
            told = last.inner("bytes")
            self._lengths = {name: told.whole(name) for name in self._paths}
        for name, path in self._paths.items():
            length = self._lengths[name]
            if length < 0:
                raise FormatError(f"{where}: {name} has {length} bytes; the journal was changed")
            if path.exists():
                if path.stat().st_size < length:
                    raise FormatError(f"{path}: is shorter than the journal says; the run was changed")
                os.truncate(path, length)
            elif length:
                raise FormatError(f"{path}: is missing, but the journal has its lines; the run was changed")

    @property
    def entries(self) -> Iterator[Entry]:
        """What the journal says of this stage, in the order of writing."""
        return (entry for entry in self._journal.entries if entry.get("stage") == self._stage)

    def add(self, unit: int, rows: Mapping[str, Iterable[Mapping[str, object]]], **facts: object) -> None:
        """Keeps the rows of a unit of work, by file, whole or not at all; `facts` go into the journal."""
        digests = {}
        for name, some in rows.items():
            lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in some]
            data = "".join(lines).encode("utf-8", "surrogatepass")
            with self._paths[name].open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                self._lengths = {**self._lengths, name: file.tell()}
            digests[name] = hashlib.sha256(data).hexdigest()
        self._note(unit, {"sha256": digests, **facts})

    def finish(self) -> None:
        """Says that nothing more will be added."""
        if not self.finished:
            for path in self._paths.values():
                path.touch()  # nothing may ever have been added
            self._note(END, {})
            self.finished = True

    def told(self, fact: str) -> Iterator[int]:
        """What each entry of the journal that has the fact, a whole number, says of it."""
        where = f"{self._journal.path}: an entry of {self._stage}"
        return (Fields(entry, where).whole(fact) for entry in self.entries if fact in entry)

    def told_each(self, fact: str) -> Iterator[int]:
        """All whole numbers in what each entry of the journal that has the fact, an array, says of it."""
        where = f"{self._journal.path}: an entry of {self._stage}"
        arrays = (Fields(entry, where).array(fact) for entry in self.entries if fact in entry)
        return (number for array in arrays for number in array if isinstance(number, int))

    def rows(self) -> Iterator[dict[str, object]]:
        """Every row kept so far of the first file, in the order of writing."""
        yield from read_lines(next(iter(self._paths.values())))

    def _note(self, unit: int | str, facts: Mapping[str, object]) -> None:
        entry = {"stage": self._stage, "unit": unit, "bytes": self._lengths, **facts}
        self._journal.append(entry)
        self.done.add(unit)


def _unit(entry: Fields) -> int | str:
    return END if entry.value("unit") == END else entry.whole("unit")


def read_lines(path: Path) -> Iterator[dict[str, object]]:
    """Rows of a stage's file; none where it does not exist. Raises FormatError naming a line that is none."""
    if not path.exists():
        return
    check_ordinary(path)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row: object = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise FormatError(f"{path}:{number}: not JSON; the run was changed") from error
            if not isinstance(row, dict):
                raise FormatError(f"{path}:{number}: not a JSON object; the run was changed")
            yield row
