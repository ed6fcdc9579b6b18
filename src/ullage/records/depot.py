"""Partitions that are done, in a store, until their run puts them together.

    run.json                               what an actor without the run's folder needs: its manifest
    files/BBBBB/NNNNNNNN/TOKEN/...         what one attempt at a partition left
    done/BBBBB/NNNNNNNN.json               that a partition is done: its manifest, of an attempt and its files
    alive/ACTOR                            how far an actor is, who works where nobody else looks

A rename is a copy there, so a partition is done once its manifest is: that is written last, at once, only if
there is none, and whoever comes second keeps nothing. What no manifest names is nothing. B is N over BLOCK:
so many names has a listing at most, however many partitions a run has.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Final

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.records.atomic import sha256_of
from ullage.records.seal import read_line, sealed_line
from ullage.store import LostError, Store

RUN: Final = "run.json"
ALIVE: Final = "alive"
BLOCK: Final = 1000


@dataclass(slots=True)
class Depot:
    """The partitions of one run under `url`, which no other run has. Invariant: what a manifest names was
    there, whole, before the manifest. Every method raises InputError for what the store does not do."""

    url: str
    _store: Store = field(init=False)

    def __post_init__(self) -> None:
        self._store = Store(self.url)

    def begin(self, manifest: Path) -> None:
        """Leaves the manifest of the run for its actors."""
        self._store.put(manifest, RUN)

    def manifest(self, to: Path) -> None:
        """Brings the manifest of the run to a file."""
        self._store.get(RUN, to)

    def numbers(self, block: int) -> set[int]:
        """Partitions from `block` * BLOCK on, so many at most, that are done."""
        names = self._store.names(f"done/{block:05}")
        return {int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit()}

    def has(self, number: int) -> bool:
        """Whether a partition is done."""
        try:
            self._store.stat(_done(number))
        except LostError:
            return False
        return True

    def keep(self, number: int, attempt: Path) -> None:
        """Uploads what an attempt left, and last its manifest; nothing comes of it where there is one."""
        token, files = token_hex(8), []
        for path in sorted(each for each in attempt.rglob("*") if each.is_file()):
            name = path.relative_to(attempt).as_posix()
            files.append({"name": name, "bytes": path.stat().st_size, "sha256": sha256_of(path)})
            self._store.put(path, f"{_files(number)}/{token}/{name}")
        row = {"document": "partition", "version": 1, "partition": number, "attempt": token, "files": files}
        if not self._store.put_new(sealed_line(row), _done(number)):
            self._store.remove(f"{_files(number)}/{token}")

    def bring(self, number: int, to: Path, only: Container[str] | None = None) -> None:
        """Copies a partition that is done, or `only` these files of it, to the folder `to`, which is there
        whole or not at all.

        Raises FormatError where its manifest, or what that names, is missing or was changed.
        """
        token, files = self._named(number)
        temporary = to.with_name(f"{to.name}.{token_hex(6)}.tmp")
        try:
            for name, size, digest in files:
                if only is not None and name not in only:
                    continue
                path = temporary / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                key = f"{_files(number)}/{token}/{name}"
                try:
                    self._store.get(key, path)
                except LostError as error:
                    raise self._changed(key, "is missing, and a manifest names it", number) from error
                if path.stat().st_size != size or sha256_of(path) != digest:
                    raise self._changed(key, "is not what its manifest says", number)
            temporary.mkdir(mode=0o700, exist_ok=True)
            os.rename(temporary, to)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def tell(self, actor: str, word: Path) -> None:
        """Leaves word, a small file, of how far an actor is."""
        self._store.put(word, f"{ALIVE}/{actor}")

    def told(self) -> int:
        """What changes whenever any actor leaves another word."""
        return hash(tuple(self._store.stats(ALIVE).items()))

    def drop(self, cut_short: bool) -> None:
        """Removes all of it, also uploads that were `cut_short` with their process."""
        self._store.remove("")
        if cut_short:
            self._store.abort_uploads()

    def _named(self, number: int) -> tuple[str, list[tuple[str, int, str]]]:
        """Of a partition that is done the attempt that was kept, and its files."""
        key = _done(number)
        row = read_line(self._store.read(key))
        if row is None:
            raise self._changed(key, "was changed since it was written", number)
        told = Fields(row, f"{self._store.named(key)}: no partition's manifest")
        token = told.text("attempt")
        files = [(each.text("name"), each.whole("bytes"), each.text("sha256")) for each in told.each("files")]
        if told.whole("partition") != number or any(not _inside(name) for name in (token, *_names(files))):
            raise self._changed(key, "is no manifest of this partition", number)
        return token, files

    def _changed(self, key: str, what: str, number: int) -> FormatError:
        return FormatError(
            f"{self._store.named(key)}: {what}; remove {self._store.named(_done(number))}, and a run that is "
            f"resumed does partition {number} again"
        )


def blocks(count: int) -> int:
    """How many listings so many partitions are."""
    return -(-count // BLOCK)


def read_depot(path: Path) -> Depot | None:
    """The depot that a file names; None where it is not there. Raises FormatError, InputError."""
    if not path.exists():
        return None
    try:
        return Depot(str(json.loads(path.read_text())))
    except ValueError as error:
        raise FormatError(f"{path}: names no store; the run was changed") from error


def _names(files: list[tuple[str, int, str]]) -> Iterator[str]:
    return (name for name, _, _ in files)


def _inside(name: str) -> bool:
    """Whether a name leads nowhere else than into the folder that it is of."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")


def _files(number: int) -> str:
    return f"files/{number // BLOCK:05}/{number:08}"


def _done(number: int) -> str:
    return f"done/{number // BLOCK:05}/{number:08}.json"
