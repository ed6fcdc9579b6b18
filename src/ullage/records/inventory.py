"""What lay in the folder of a run when it had ended, and how to tell that it still does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ullage.fields import Fields
from ullage.records.atomic import sha256_of
from ullage.records.damage import Damage
from ullage.records.parts import PARTITIONS
from ullage.records.seal import CHANGED

STATES: Final = "states"
"""The folder whose own index vouches for what is in it."""
OF_STATES: Final = f"{STATES}/index.json"
GROWS: Final = "log.jsonl"
"""More may be said after a run has ended."""
NOT_KEPT: Final = frozenset({"record.json", ".lock", "pool.json"})
"""The record, which holds this list and vouches for itself, and what is there while somebody writes."""
OF_THE_RUN: Final = frozenset({"manifest.json", "journal.jsonl", "timeline.jsonl", GROWS, OF_STATES})
"""What no report writes."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file by its path in the folder: its first so many `bytes` have this SHA-256."""

    name: str
    bytes: int
    sha256: str

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def take_inventory(folder: Path) -> tuple[Held, ...]:
    """Every file of a run's folder, but for states, whose index stands for them."""
    return tuple(_held(folder, name) for name in _names(folder))


def with_files(held: Sequence[Held], folder: Path, written: Sequence[Path]) -> tuple[Held, ...]:
    """The inventory, with the files in it that were written anew as they are now."""
    anew = {path.relative_to(folder).as_posix() for path in written}
    others = [each for each in held if each.name not in anew]
    return tuple(sorted([*others, *(_held(folder, name) for name in sorted(anew))], key=lambda one: one.name))


def read_inventory(found: Fields) -> tuple[Held, ...]:
    """The inventory in a record. Raises FormatError."""
    if "files" not in found:
        return ()
    return tuple(
        Held(each.text("name"), each.whole("bytes"), each.text("sha256")) for each in found.each("files")
    )


def damaged_files(folder: Path, held: Sequence[Held], kept: Mapping[str, object]) -> list[Damage]:
    """What of an inventory is gone or was changed; `kept` names files that the journal vouches for."""
    found = []
    for each in held:
        path = folder / each.name
        what = "" if path.is_file() else "is missing, though the run's record names it"
        if not what and not _same(path, each):
            what = CHANGED
        if what:
            page = each.name not in OF_THE_RUN and each.name not in kept
            found.append(Damage(str(path), what, page=page))
    return found


def _same(path: Path, held: Held) -> bool:
    if path.name != GROWS:
        return path.stat().st_size == held.bytes and sha256_of(path) == held.sha256
    with path.open("rb") as file:
        return hashlib.sha256(file.read(held.bytes)).hexdigest() == held.sha256


def _held(folder: Path, name: str) -> Held:
    path = folder / name
    return Held(name, path.stat().st_size, sha256_of(path))


def _names(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        of_states = name.startswith(f"{STATES}/") and name != OF_STATES
        passing = path.suffix == ".tmp" or name.startswith(f"{PARTITIONS}/")
        if path.is_file() and name not in NOT_KEPT and not of_states and not passing:
            yield name
