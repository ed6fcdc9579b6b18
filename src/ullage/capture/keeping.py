"""Stored states: whether they still are what was written. Readable without numpy and torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ullage.capture.arrays import ArrayFile, read_array_file
from ullage.capture.entries import StoredBatches, StoredSequence, read_entries, states_of
from ullage.errors import FormatError
from ullage.records.atomic import sha256_of
from ullage.records.damage import Damage, as_damage
from ullage.records.seal import CHANGED

TOKENS: Final = "tokens"
OFFSETS: Final = "offsets"


def damaged_states(folder: Path, entries: Iterable[Mapping[str, object]], *, growing: bool) -> list[Damage]:
    """What of the states that a journal's entries vouch for is gone or was changed: the first of it.

    `growing` says that the run has not ended, so more may be written.
    """
    arrays: dict[str, ArrayFile] = {}
    for number, entry in enumerate(entries):
        for stored in _stored_in(entry):
            try:
                if stored.file is not None:
                    check_shards(folder, [stored])
                else:
                    _check_rows(folder, stored, arrays, growing)
            except FormatError as error:
                return [as_damage(error, number)]
    return []


def check_shards(folder: Path, stored: Sequence[StoredBatches]) -> None:
    """Raises FormatError when a shard the journal names is missing or was changed."""
    for each in stored:
        if each.file is None:
            continue
        path = folder / each.file
        if not path.is_file():
            raise FormatError(f"{path}: is missing, though the journal says it was written")
        if sha256_of(path) != each.sha256:
            raise FormatError(f"{path}: {CHANGED}")


def _stored_in(entry: Mapping[str, object]) -> Iterator[StoredBatches]:
    return read_entries([entry]) if "units" in entry else states_of([entry])


def _check_rows(folder: Path, stored: StoredBatches, arrays: dict[str, ArrayFile], growing: bool) -> None:
    """Raises FormatError when a batch's rows in the memory maps are not what was written; `arrays` holds the
    files that were opened before."""
    digest = hashlib.sha256()
    names: list[str] = []
    for example in stored.examples:
        for name, begin, end in _rows(example):
            if name not in arrays:
                arrays[name] = read_array_file(folder / f"{name}.npy", growing=growing)
            held = arrays[name]
            names.append(name)
            if name in stored.sites and held.name != stored.sites[name].dtype:
                raise FormatError(f"{held.path}: holds {held.name}, not {stored.sites[name].dtype}")
            with held.path.open("rb") as file:
                file.seek(held.begin + begin * held.row_bytes)
                digest.update(file.read((end - begin) * held.row_bytes))
    if digest.hexdigest() != stored.sha256:
        files = ", ".join(f"{name}.npy" for name in dict.fromkeys(names))
        ids = [example.id for example in stored.examples]
        raise FormatError(f"{folder}: rows of {ids[0]!r} to {ids[-1]!r} in {files} were changed")


def _rows(example: StoredSequence) -> Iterator[tuple[str, int, int]]:
    """The file and the rows of each part of a sequence, in the order their digest is taken in."""
    for site in example.states:
        yield site, example.states[site][0], example.states[site][1]
    begin = example.token_begin or 0
    for name in (TOKENS, OFFSETS):
        yield name, begin, begin + example.tokens
