"""What a run is taken up with, held against what it was begun with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ullage.errors import InputError
from ullage.records.folder import RunFolder
from ullage.records.manifest import Manifest
from ullage.records.record import Environment
from ullage.spec.workload import Workload
from ullage.workloads.inputs import Input, files_of

DIGITS: Final = 12
"""Of a digest that are shown."""
WAYS: Final = ("sha256", "sampled", "etag")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not what it was when the run was begun: `what`, and what it `was` and `is_now`."""

    what: str
    was: str
    is_now: str

    def __str__(self) -> str:
        return f"{self.what} was {self.was}, is {self.is_now}"

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def check_files(run: RunFolder, workload: Workload, base: Path) -> None:
    """Raises InputError where a file that is read has changed (kept results are of its records, by place), or
    is not there."""
    before = {entry["file"]: entry["sha256"] for entry in run.manifest().inputs if "file" in entry}
    try:
        now = {entry["file"]: entry["sha256"] for entry in files_of(workload, base)}
    except InputError as error:
        raise InputError(f"{error}; if it was moved, say where: --base FOLDER") from error
    for name in [*before, *(name for name in now if name not in before)]:
        if before.get(name) != now.get(name):
            raise InputError(f"{run.path}: {name} has changed since this run began; start a new run")


def was_strict(manifest: Manifest) -> bool:
    """Whether every part of every model was read whole when the run was begun."""
    return not any("sampled" in entry for entry in manifest.inputs)


def differences(manifest: Manifest, parts: Sequence[Input], where: Environment) -> list[Difference]:
    """Parts of models, versions and number of threads that are not what they were."""
    before, now = _by_part(manifest.inputs), _by_part(parts)
    found = [
        Difference(
            f"roles.{role}: {part}", before.get((role, part), "not there"), now.get((role, part), "gone")
        )
        for role, part in dict.fromkeys((*before, *now))
        if before.get((role, part)) != now.get((role, part))
    ]
    begun, here = asdict(manifest.environment), asdict(where)
    found += [
        Difference(name, str(begun[name]), str(value)) for name, value in here.items() if begun[name] != value
    ]
    return found


def refuse_differences(found: Sequence[Difference], folder: Path) -> None:
    """Raises InputError, one line, unless nothing differs."""
    if found:
        raise InputError(
            f"{folder}: was begun with something else: {'; '.join(map(str, found))}; what is done and what "
            "is left would not be of one kind; start a new run, or go on with --anyway"
        )


def _by_part(inputs: Sequence[Mapping[str, str]]) -> dict[tuple[str, str], str]:
    return {
        (entry["role"], entry["part"]): next(
            (f"{way} {entry[way][:DIGITS]}" for way in WAYS if way in entry), "unknown"
        )
        for entry in inputs
        if "role" in entry and "part" in entry
    }
