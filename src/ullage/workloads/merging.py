"""Puts a run's partitions together, in order: rows, states and journal as one run would have left them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.records.atomic import sha256_of
from ullage.records.journal import Entry, Journal, read_journal
from ullage.records.lines import END
from ullage.records.parts import JOURNAL, Parts
from ullage.records.undone import numbers_in

STATES: Final = "states"


def merge(parts: Parts, journal: Journal, run: Path) -> None:
    """Adds every entry of the partitions' journals to the run's, once its rows and states lie in `run`.

    What the run's journal holds already was merged before somebody died: entry for entry it is what the
    partitions say, so the merge goes on behind it. Raises FormatError for a partition that was changed.
    """
    done = sum(1 for _ in journal.work)
    merging = _Merging(run)
    for number, entry in enumerate(_entries(parts, merging)):
        if number == done:
            merging.cut_back()
        if number >= done:
            merging.take()
            journal.append(entry)
    for name in merging.lengths:
        (run / f"{name}.jsonl").touch()  # nothing may ever have been added


def _entries(parts: Parts, merging: _Merging) -> Iterator[Entry]:
    """The entries of the run's journal, in order; `merging` knows what each of them is of."""
    for number in range(parts.count or 0):
        folder = parts.folder(number)
        parts.check(number)
        merging.begin(folder)
        for entry in read_journal(folder / JOURNAL):
            moved = merging.moved(entry)
            if entry.get("unit") != END:
                yield moved
    for stage, lengths in merging.stages.items():
        merging.nothing()
        yield {"stage": stage, "unit": END, "bytes": lengths}


@dataclass(slots=True)
class _Merging:
    """Where the merge is. Invariant: `lengths` are those of the run's files once the entry that was last
    given is taken."""

    run: Path
    lengths: dict[str, int] = field(default_factory=dict)
    stages: dict[str, dict[str, int]] = field(default_factory=dict)
    _folder: Path = Path()
    _before: dict[str, int] = field(default_factory=dict)
    _shards: int = 0
    _rows: list[tuple[str, int, int, str]] = field(default_factory=list)
    _states: list[tuple[str, str, str]] = field(default_factory=list)
    _next: dict[str, tuple[int, int]] = field(default_factory=dict)
    _on: dict[str, tuple[int, int]] = field(default_factory=dict)

    def begin(self, folder: Path) -> None:
        """Partition by partition: what comes is in `folder`."""
        self._folder, self._before, self._on = folder, dict(self.lengths), {}

    def nothing(self) -> None:
        """An entry that no rows or states belong to."""
        self._rows, self._states = [], []

    def moved(self, entry: Entry) -> Entry:
        """An entry of a partition, as it stands in the journal of the run."""
        self.nothing()
        told = Fields(entry, f"{self._folder / JOURNAL}: an entry")
        found = dict(entry)
        if "file" in entry:
            found["file"] = self._shard(told)
        if STATES in entry:
            found[STATES] = [{**each.values, "file": self._shard(each)} for each in told.each(STATES)]
        if "bytes" in entry and "stage" in entry:
            ends = told.inner("bytes").wholes()
            digests = told.inner("sha256").texts() if "sha256" in entry else {}
            for name, digest in digests.items():
                begin = self.lengths.get(name, 0) - self._before.get(name, 0)
                self._rows.append((name, begin, ends[name], digest))
            moved = {name: self._before.get(name, 0) + end for name, end in ends.items()}
            self.lengths |= moved
            self.stages[told.text("stage")] = moved
            found["bytes"] = moved
        if "items" in entry:
            found |= self._numbered(told)
        return found

    def _numbered(self, told: Fields) -> dict[str, object]:
        """Unit and items of an entry, numbered on where a partition counts them from 0, as it could not know
        how many come before it."""
        stage, unit, items = told.text("stage"), told.whole("unit"), [*numbers_in(told.values, "items")]
        units, many = self._next.get(stage, (0, 0))
        unit_on, item_on = self._on.setdefault(stage, (0, 0) if unit >= units else (units, many))
        unit, items = unit + unit_on, [item + item_on for item in items]
        self._next[stage] = max(units, unit + 1), max([many, *(item + 1 for item in items)])
        return {"unit": unit, "items": items}

    def _shard(self, told: Fields) -> str:
        name = f"{self._shards:05}.safetensors"
        self._shards += 1
        self._states.append((told.text("file"), name, told.text("sha256")))
        return name

    def cut_back(self) -> None:
        """Takes away rows that no entry before this one names."""
        before = dict(self.lengths)
        for name, begin, end, _ in self._rows:
            before[name] -= end - begin
        for path in self.run.glob("*.jsonl"):
            if path.stem in before:
                os.truncate(path, before[path.stem])

    def take(self) -> None:
        """Brings the rows and states of the entry that was last given into the run's folder."""
        for name, begin, end, digest in self._rows:
            path = self._folder / f"{name}.jsonl"
            data = _between(path, begin, end)
            if hashlib.sha256(data).hexdigest() != digest:
                raise FormatError(f"{path}: was changed since it was written")
            with (self.run / f"{name}.jsonl").open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for name, called, digest in self._states:
            path = self._folder / STATES / name
            if sha256_of(path) != digest:
                raise FormatError(f"{path}: was changed since it was written")
            (self.run / STATES).mkdir(exist_ok=True)
            _linked(path, self.run / STATES / called)


def _between(path: Path, begin: int, end: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)
    except FileNotFoundError as error:
        if begin == end:
            return b""
        raise FormatError(f"{path}: is missing; the run was changed") from error


def _linked(path: Path, to: Path) -> None:
    """The same file under another name; a copy where a file system has no second names."""
    to.unlink(missing_ok=True)
    try:
        os.link(path, to)
    except OSError:
        temporary = to.with_name(f"{to.name}.tmp")
        shutil.copyfile(path, temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            os.replace(temporary, to)
