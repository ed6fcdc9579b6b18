"""JSON lines that a run writes batch by batch, and takes up where it was cut short."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.files import check_ordinary
from ullage.records.journal import Entry, Journal, read_journal
from ullage.records.undone import UNDONE, numbered_lines, numbers_in, taken_back

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
            unit = _unit(last)
            if unit == UNDONE:
                self.done.discard(END)
            else:
                self.done.add(unit)
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

    def undo(self, items: Sequence[int]) -> None:
        """Takes items back, and with them the end; their lines stay in the file and are not read."""
        entry = {"stage": self._stage, "unit": UNDONE, "bytes": self._lengths, UNDONE: list(items)}
        self._journal.append(entry)
        self.done.discard(END)
        self.finished = False

    def changes(self) -> Iterator[tuple[int, bool]]:
        """Every item in the order of writing, with whether it was done or taken back."""
        for entry in self.entries:
            for fact, done in (("items", True), (UNDONE, False)):
                yield from ((item, done) for item in numbers_in(entry, fact))

    def told(self, fact: str) -> Iterator[int]:
        """What each entry of the journal that has the fact, a whole number, says of it."""
        where = f"{self._journal.path}: an entry of {self._stage}"
        return (Fields(entry, where).whole(fact) for entry in self.entries if fact in entry)

    def rows(self) -> Iterator[dict[str, object]]:
        """Every row of the first file that counts, in the order of writing."""
        name, path = next(iter(self._paths.items()))
        yield from read_lines(path, taken_back(path, name, lambda: self.entries))

    def _note(self, unit: int | str, facts: Mapping[str, object]) -> None:
        entry = {"stage": self._stage, "unit": unit, "bytes": self._lengths, **facts}
        self._journal.append(entry)
        self.done.add(unit)


def _unit(entry: Fields) -> int | str:
    for name in (END, UNDONE):
        if entry.value("unit") == name:
            return name
    return entry.whole("unit")


def standing_rows(folder: Path, stage: str) -> Iterator[dict[str, object]]:
    """Every row that counts of a stage with a file of its own name, in the order of writing."""
    path = folder / f"{stage}.jsonl"
    return read_lines(path, taken_back(path, stage, lambda: _entries_in(folder, stage)))


def numbered_rows(folder: Path, stage: str) -> Iterator[tuple[int, dict[str, object]]]:
    """The same, each with the number of its item."""
    path = folder / f"{stage}.jsonl"
    lines = numbered_lines(path, stage, lambda: _entries_in(folder, stage))
    return ((item, json.loads(line)) for item, line in lines)


def standing_items(folder: Path, stage: str) -> set[int]:
    """The numbers of all items of a stage that are done."""
    found: set[int] = set()
    for entry in _entries_in(folder, stage):
        found.update(numbers_in(entry, "items"))
        found.difference_update(numbers_in(entry, UNDONE))
    return found


def _entries_in(folder: Path, stage: str) -> Iterator[Entry]:
    return (entry for entry in read_journal(folder / "journal.jsonl") if entry.get("stage") == stage)


def read_lines(path: Path, but: Container[int] = ()) -> Iterator[dict[str, object]]:
    """Rows of a stage's file, none where it does not exist, without those that begin at bytes `but`. Raises
    FormatError naming a line that is none."""
    if not path.exists():
        return
    check_ordinary(path)
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            begin, end = end, end + len(line)
            if begin in but:
                continue
            try:
                row: object = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise FormatError(f"{path}:{number}: not JSON; the run was changed") from error
            if not isinstance(row, dict):
                raise FormatError(f"{path}:{number}: not a JSON object; the run was changed")
            yield row
