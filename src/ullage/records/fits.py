"""What a journal says of the probes that a run has fitted for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from ullage.fields import Fields
from ullage.records.atomic import sha256_of
from ullage.records.damage import Damage
from ullage.records.journal import Entry
from ullage.records.seal import CHANGED

FITTED: Final = "fitted"
"""The field of an entry with a probe's name; `files` are the SHA-256 of what lies of it, by path."""


def files_of_fit(entries: Iterable[Entry], name: str) -> dict[str, str]:
    """Files of the fitted probe called `name`, by their path in the run's folder; none where it is not fitted
    yet."""
    return next((files for own, files in _fits(entries) if own == name), {})


def fitted_files(entries: Iterable[Entry]) -> dict[str, str]:
    """Files of all fitted probes."""
    return {file: digest for _, files in _fits(entries) for file, digest in files.items()}


def damaged_fits(folder: Path, entries: Iterable[Entry]) -> list[Damage]:
    """What of the fitted probes is gone or was changed; a resume fits anew what is gone, of its states."""
    found = []
    for name, digest in fitted_files(entries).items():
        path = folder / name
        if not path.is_file():
            found.append(Damage(str(path), "is missing, though the journal names it"))
        elif sha256_of(path) != digest:
            found.append(Damage(str(path), CHANGED))
    return found


def _fits(entries: Iterable[Entry]) -> Iterator[tuple[str, dict[str, str]]]:
    for entry in entries:
        if FITTED in entry:
            told = Fields(entry, "the journal's entry of a fit")
            files = told.inner("files")
            yield told.text(FITTED), {file: files.text(file) for file in files.values}
