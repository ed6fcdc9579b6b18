"""A run's folder.

manifest.json    what was to be done: workload, plan, inputs, versions; written once, first
journal.jsonl    what has been done: one line for each piece of output that is safely on disk
log.jsonl        what was said while running, with times
timeline.jsonl   memory over time
pool.json        where each role's weights are, while a process runs here
record.json      what was measured, and a list of all files; written last, so a folder that has it is complete
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from typing_extensions import TypedDict

from ullage.documents import VERSION
from ullage.errors import BusyError, FormatError, InputError, UllageError
from ullage.fields import Fields
from ullage.records.inventory import Held, read_inventory, take_inventory
from ullage.records.journal import read_journal
from ullage.records.manifest import Manifest, read_manifest
from ullage.records.parts import Parts
from ullage.records.pool import POOL
from ullage.records.record import Record, read_record
from ullage.records.seal import read_sealed, write_sealed

MANIFEST: Final = "manifest.json"
JOURNAL: Final = "journal.jsonl"
RECORD: Final = "record.json"
OURS: Final = frozenset({MANIFEST, RECORD, JOURNAL, "log.jsonl", "timeline.jsonl", POOL, ".lock"})


class BesideRecord(TypedDict, total=False):
    """What a record's document says of its run: where it lies, what lay there, its seal."""

    folder: str
    files: tuple[Held, ...]
    sha256: str


class RunFolder:
    """The folder of one run. Invariant: only the process that holds `lock` writes in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def close_to_others(self) -> bool:
        """Lets nobody but its owner look into the folder; whether that was done."""
        try:
            self.path.chmod(0o700)
        except OSError:
            return False
        return self.path.stat().st_mode & 0o077 == 0

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder for this process; the system lets go of it when the process ends, however.

        Raises BusyError while another process holds it.
        """
        try:
            file = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written in: {error.strerror or error}") from error
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(file, 32, 0).decode(errors="replace").strip()
                who = f" (process {holder})" if holder.isdigit() else ""
                raise BusyError(f"{self.path}: another run is writing here{who}; wait for it") from error
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(file)

    @property
    def held(self) -> bool:
        """Whether a process writes in the folder."""
        lock = self.path / ".lock"
        if not lock.is_file():  # a pipe would wait for whoever writes to it
            return False
        try:
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                fcntl.flock(file, fcntl.LOCK_UN)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def started(self) -> bool:
        return (self.path / MANIFEST).exists()

    @property
    def done(self) -> int:
        """Pieces of work that are safely on disk."""
        parts = Parts(self.path)
        # A store is not asked: this is how a run that was cut short says how to go on.
        return len(read_journal(self.path / JOURNAL)) + (parts.kept if parts.depot is None else parts.begun)

    @property
    def complete(self) -> bool:
        return (self.path / RECORD).exists()

    def manifest(self) -> Manifest:
        """Raises FormatError when it is missing, broken or of a later version."""
        return read_manifest(self._read(MANIFEST, "run"), str(self.path / MANIFEST))

    def record(self) -> Record:
        """Raises FormatError when it is broken, or the run has not been completed."""
        if not self.started:
            self.manifest()  # says what is wrong with the folder
        if not self.complete:
            raise FormatError(
                f"{self.path}: holds no finished run; `ullage run --resume {self.path}` ends it"
            )
        return read_record(self._read(RECORD, "record"), str(self.path / RECORD))

    def inventory(self) -> tuple[Held, ...]:
        """The files that lay in the folder when the record was written. Raises FormatError."""
        path = self.path / RECORD
        return read_inventory(Fields(self._read(RECORD, "record"), f"{path}: not a record of a run"))

    def write_manifest(self, manifest: Manifest) -> None:
        write_sealed(self.path / MANIFEST, manifest.to_json())

    def write_record(self, record: Record, files: Sequence[Held] | None = None) -> None:
        """Ends the run: `record`, and what lies in the folder (None: whatever is there now)."""
        held = take_inventory(self.path) if files is None else files
        document = {**record.to_json(), "files": [each.to_json() for each in held]}
        write_sealed(self.path / RECORD, document)

    def drop_partitions(self) -> None:
        """Removes what the run's results were put together from. Raises InputError where a store keeps its
        part of it."""
        Parts(self.path).drop()

    def discard(self) -> None:
        """Removes what a run that came to nothing wrote; anything else stays."""
        names = ("*.jsonl", "*.sqlite", *(f"states/*.{end}" for end in ("npy", "safetensors", "tmp")))
        own = (path for name in names for path in self.path.glob(name))
        with contextlib.suppress(UllageError):
            self.drop_partitions()
        for path in (*own, *(self.path / name for name in OURS)):
            path.unlink(missing_ok=True)
        for folder in (self.path / "states", self.path):
            with contextlib.suppress(OSError):  # not empty, or not there
                folder.rmdir()

    def _read(self, name: str, document: str) -> Mapping[str, object]:
        path = self.path / name
        try:
            value = read_sealed(path)
        except FileNotFoundError as error:
            raise FormatError(f"{self.path}: no {name}; is this the folder of a run?") from error
        if value.get("document") != document:
            raise FormatError(f"{path}: not the {name} of a run")
        if value.get("version") != VERSION:
            raise FormatError(f"{path}: version {value.get('version')!r}, but this ullage reads {VERSION}")
        return value


def new_folder(path: Path) -> RunFolder:
    """An empty folder for a run. Raises InputError where something else lies there already."""
    try:
        path.mkdir(0o700, parents=True, exist_ok=True)
        held = {entry.name for entry in path.iterdir()}
    except OSError as error:
        raise InputError(f"{path}: cannot be used as a run's folder: {error.strerror or error}") from error
    if MANIFEST in held:
        raise InputError(
            f"{path}: holds a run already; `ullage run --resume {path}` goes on with it, or name another"
        )
    foreign = sorted(held - OURS)
    if foreign:
        raise InputError(f"{path}: is not empty (it holds {foreign[0]}); name a new folder for the run")
    return RunFolder(path)
