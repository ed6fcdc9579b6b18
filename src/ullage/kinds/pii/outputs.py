"""What a verification leaves where the user named its output: copies of files in the run's folder."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

from ullage.errors import InputError
from ullage.records.atomic import write_with
from ullage.records.folder import RunFolder

STANDARD: Final = "-"


def targets_of(output: Path) -> dict[str, Path]:
    """Where each file of a run is copied to; the output last, so that where it is, the others are."""
    stem = output.name.removesuffix(".gz").removesuffix(".jsonl")
    return {
        "failed": output.with_name(f"{stem}.failed.jsonl"),
        "rejects": output.with_name(f"{stem}.rejects.jsonl"),
        "verified": output,
    }


def check_free(output: Path, source: Path, held: RunFolder, *, resumed: bool) -> bool:
    """Whether a run was begun in `held`. Raises InputError where going on would overwrite something."""
    if output.name == STANDARD:
        raise InputError("--output -: rows are copied into a file when all are written; name one")
    try:
        there = next((path for path in targets_of(output).values() if path.exists()), None)
        begun = held.started
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from error
    if there is not None and not (resumed and held.complete):
        what = "is the input" if source.exists() and there.samefile(source) else "exists"
        raise InputError(f"{there}: {what}; name another output, nothing is overwritten")
    if begun and not resumed:
        raise InputError(f"{held.path}: holds an interrupted verification; go on with --resume, or remove it")
    return begun


def copy_out(held: RunFolder, output: Path) -> None:
    """Copies what a finished run wrote. Raises InputError where something else lies there."""
    for name, path in targets_of(output).items():
        kept = held.path / f"{name}.jsonl"
        if not path.exists():
            _private_copy(kept, path)
        elif _content(path) != _content(kept):
            raise InputError(f"{path}: is not what {held.path} wrote; nothing is overwritten")


def _content(path: Path) -> str:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _private_copy(source: Path, target: Path) -> None:
    """A copy that its owner alone can read, whole or not at all."""

    def write(temporary: Path) -> None:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with source.open("rb") as read, os.fdopen(file, "wb") as written:
            if target.suffix == ".gz":
                with gzip.GzipFile(filename="", mode="wb", fileobj=written, mtime=0) as zipped:
                    shutil.copyfileobj(read, zipped)
            else:
                shutil.copyfileobj(read, written)

    try:
        write_with(target, write, unique=True)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written: {error.strerror or error}; what was verified is in {source}"
        ) from error
