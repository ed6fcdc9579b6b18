"""The partitions of a run: what each is of, which are done, and what lies in the folder of one.

`partitions/` of a run's folder holds, until the run has its results:

    index.jsonl          a line of WIDTH bytes a partition, and one that says how many there are
    NNNNNNNN/            a partition that is done: its own journal, what that vouches for, and part.json
    doing/NNNNNNNN.TOKEN one that somebody is doing, or was doing when he died
    attempts.jsonl       a line for each time that a partition was begun, lost, or tried in part
    rejected.jsonl       records that end whatever reads them, with the reason
    depot.json           where partitions that are done lie in a store, if they do (`records.depot`)

A partition is done once its folder has its name: that is one rename, and whoever comes second keeps nothing.
In a store a manifest stands for the name; `collect` brings what is done there into folders here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from errno import EEXIST, ENOTEMPTY
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Final

from ullage.errors import FormatError
from ullage.records.atomic import sha256_of, write_with
from ullage.records.depot import BLOCK, Depot, blocks, read_depot
from ullage.records.ended import Ended, read_ended
from ullage.records.notes import Notes, read_notes
from ullage.records.seal import read_sealed, write_sealed

PARTITIONS: Final = "partitions"
INDEX: Final = "index.jsonl"
PART: Final = "part.json"
DOING: Final = "doing"
JOURNAL: Final = "journal.jsonl"
ATTEMPTS: Final = "attempts.jsonl"
REJECTED: Final = "rejected.jsonl"
DEPOT: Final = "depot.json"
WIDTH: Final = 128
"""Bytes of a line of the index: any partition's line is found without reading the others."""
DIGITS: Final = 8
_NUMBER: Final = re.compile(rf"\d{{{DIGITS}}}")


@dataclass(frozen=True, slots=True)
class Part:
    """Partition `number`: bytes [begin, end) of the input, whole lines.

    `line` lines and `item` items (records, or what its kind finds in them) come before it in the input; it
    has `lines` lines, `records` of them not blank. `rejected` are lines that are left out, each with the
    reason.
    """

    number: int
    begin: int
    end: int
    line: int
    item: int
    lines: int
    records: int
    rejected: Mapping[int, str] = field(default_factory=dict)


NUMBERS: Final = ("number", "begin", "end", "line", "item", "lines", "records")
"""Of a partition, in the order in which its line of the index has them; those of the largest inputs fit its
WIDTH."""


class Parts:
    """The partitions in the folder of a run. Invariant: what `kept` names is whole, and never changes."""

    def __init__(self, run: Path) -> None:
        self.path = run / PARTITIONS
        self._noted: Notes | None = None
        self._depot: Depot | None = None

    @property
    def depot(self) -> Depot | None:
        """Where what is done lies in a store; None: here."""
        if self._depot is None:
            self._depot = read_depot(self.path / DEPOT)
        return self._depot

    def settle(self, url: str) -> None:
        """What is done lies under a URL from now on, which is this run's alone."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_with(self.path / DEPOT, lambda temporary: temporary.write_text(json.dumps(url)))

    @property
    def count(self) -> int | None:
        """How many there are; None where the input has not been cut yet. Raises FormatError where the
        index is no whole number of lines."""
        path = self.path / INDEX
        if not path.exists():
            return None
        lines, rest = divmod(path.stat().st_size, WIDTH)
        if rest or lines < 2:
            raise FormatError(f"{path}: was cut short; the run was changed")
        return lines - 1

    def cut(self, parts: Iterator[Part]) -> None:
        """Writes the index, whole or not at all."""
        self.path.mkdir(mode=0o700, exist_ok=True)

        def write(temporary: Path) -> None:
            count = 0
            with temporary.open("wb") as file:
                for count, part in enumerate(parts, 1):  # noqa: B007
                    file.write(_fixed([getattr(part, name) for name in NUMBERS]))
                file.write(_fixed([count]))

        write_with(self.path / INDEX, write)

    def part(self, number: int) -> Part:
        """Partition `number`. Raises FormatError where the index was changed."""
        part = next(self.parts(number))
        inside = range(part.line + 1, part.line + part.lines + 1)
        return replace(part, rejected={line: why for line, why in self.rejected().items() if line in inside})

    def parts(self, number: int = 0) -> Iterator[Part]:
        """Each from `number` on, as the index has it: without what was rejected since. Raises FormatError
        where the index was changed."""
        path, count = self.path / INDEX, self.count or 0
        with path.open("rb") as file:
            file.seek(number * WIDTH)
            for line in range(number + 1, count + 1):
                try:
                    number, begin, end, before, item, lines, records = map(int, json.loads(file.read(WIDTH)))
                    part = Part(number, begin, end, before, item, lines, records)
                except (ValueError, TypeError) as error:
                    raise FormatError(f"{path}:{line}: no partition; the run was changed") from error
                yield part

    def rejected(self) -> dict[int, str]:
        """Lines of the input that are left out, each with the reason."""
        path = self.path / REJECTED
        rows = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
        return {int(row["line"]): str(row["reason"]) for row in rows}

    def reject(self, line: int, reason: str) -> None:
        """From now on a line of the input is left out."""
        before = [*self.rejected().items(), (line, reason)]
        text = "".join(json.dumps({"line": each, "reason": why}) + "\n" for each, why in before)
        write_with(self.path / REJECTED, lambda temporary: temporary.write_text(text))

    def left(self) -> Iterator[int]:
        """Numbers of those that are not done, in order."""
        if self.depot is None:
            return (number for number in range(self.count or 0) if not self.folder(number).is_dir())
        return self._not_in(self.depot)

    def _not_in(self, depot: Depot) -> Iterator[int]:
        for block in range(blocks(self.count or 0)):
            done = depot.numbers(block)
            for number in range(block * BLOCK, min((block + 1) * BLOCK, self.count or 0)):
                if number not in done and not self.folder(number).is_dir():
                    yield number

    def has(self, number: int) -> bool:
        """Whether a partition is done."""
        return self.folder(number).is_dir() or (self.depot is not None and self.depot.has(number))

    @property
    def kept(self) -> int:
        """How many are done."""
        return sum(1 for _ in self.kept_numbers())

    def kept_numbers(self) -> Iterator[int]:
        """Numbers of those that are done, in no order."""
        depot, count = self.depot, self.count or 0
        for block in range(blocks(count) if depot is not None else 0):
            assert depot is not None
            yield from depot.numbers(block)
        if self.path.is_dir() and depot is None:
            with os.scandir(self.path) as found:
                yield from (int(each.name) for each in found if _NUMBER.fullmatch(each.name))

    def collect(self) -> None:
        """Brings every partition that is done in a store into its folder here. Raises FormatError where one
        was changed there."""
        if self.depot is not None:
            for number in range(self.count or 0):
                if not self.folder(number).is_dir():
                    self.depot.bring(number, self.folder(number))

    def folder(self, number: int) -> Path:
        """Where a partition lies once it is done."""
        return self.path / f"{number:0{DIGITS}}"

    def ended(self, number: int) -> Ended:
        """What a partition that is done says of itself; its journal is not looked into (`check`). Raises
        FormatError where it was changed."""
        path = self.folder(number) / PART
        try:
            found = self._document(number)
        except FileNotFoundError as error:
            raise FormatError(f"{path}: is missing; the run was changed") from error
        return read_ended(found, str(path))

    def _document(self, number: int) -> dict[str, object]:
        if self.depot is None or self.folder(number).is_dir():
            return read_sealed(self.folder(number) / PART)
        with TemporaryDirectory() as folder:
            self.depot.bring(number, Path(folder) / "part", (PART,))
            return read_sealed(Path(folder) / "part" / PART)

    def check(self, number: int) -> None:
        """Raises FormatError where what a partition that is done says, or its journal, was changed."""
        path = self.folder(number) / JOURNAL
        if self.ended(number).journal != sha256_of(path):
            raise FormatError(f"{path}: was changed since it was written")

    @contextmanager
    def attempt(self, number: int) -> Iterator[Path]:
        """A folder to do a partition in, which is gone afterwards unless it was kept."""
        path = self.path / DOING / f"{number:0{DIGITS}}.{token_hex(6)}"
        path.parent.mkdir(mode=0o700, exist_ok=True)  # alone: a run that has ended gets no folder back
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def keep(self, attempt: Path, ended: Ended) -> None:
        """The partition that was done in `attempt` is done; nothing happens where it was already. Raises
        OSError where it cannot be said to be."""
        write_sealed(attempt / PART, {"document": "part", "version": 1, **asdict(ended)})
        if self.depot is not None:
            self.depot.keep(ended.number, attempt)
            return
        try:
            attempt.rename(self.folder(ended.number))
        except OSError as error:
            if error.errno not in (EEXIST, ENOTEMPTY):  # that has its files: the first one stays
                raise

    def clear(self) -> None:
        """Removes what was in flight when somebody died, but for what lies in a store: whoever an earlier
        driver left alive there may be about to write its manifest. Here he finds the folder that he works in
        gone, and keeps nothing."""
        with suppress(FileNotFoundError):
            (self.path / DOING).rename(self.path / f"{DOING}.{token_hex(6)}.tmp")
        for path in self.path.glob("*.jsonl.tmp"):
            path.unlink(missing_ok=True)
        for path in self.path.glob("*.*.tmp"):  # of what was on its way here too
            shutil.rmtree(path, ignore_errors=True)

    def drop(self) -> None:
        """Removes all partitions. Raises InputError where a store does not."""
        depot = self.depot
        again = depot is not None and self.begun > (self.count or 0)
        shutil.rmtree(self.path, ignore_errors=True)
        if depot is not None:
            depot.drop(cut_short=again)

    @property
    def begun(self) -> int:
        """How often a partition was begun, whatever came of it."""
        return sum(1 for each in self.attempts() if each.get("what") == "begun")

    @property
    def written(self) -> int:
        """Bytes in the journals of what is being done."""
        size = 0
        for path in self.path.glob(f"{DOING}/*/{JOURNAL}"):
            with suppress(FileNotFoundError):  # it was kept just now
                size += path.stat().st_size
        return size

    @property
    def progress(self) -> int:
        """What changes whenever more of that is written, here or by actors that leave word in a store."""
        return self.written if self.depot is None else self.depot.told()

    def note(self, what: str, number: int | None = None, **facts: object) -> None:
        """Adds a line to the attempts: of partition `number` `begun`, `lost`, `tried` and what came of that,
        and who did it; of none what became of a node."""
        if self._noted is None:  # it looks through all that was noted before
            self._noted = Notes(self.path / ATTEMPTS, lambda text: None)
        of = {} if number is None else {"partition": number}
        self._noted.add({"what": what, **of, "time": round(time.time(), 3), **facts})

    def attempts(self) -> Iterator[dict[str, object]]:
        """Every line of the attempts. Raises FormatError where one was changed."""
        return read_notes(self.path / ATTEMPTS)


def _fixed(row: Sequence[int]) -> bytes:
    line = json.dumps(row).encode()
    assert len(line) < WIDTH, line
    return line.ljust(WIDTH - 1) + b"\n"
