"""The lines that a journal vouches for: whether they still are what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ullage.fields import Fields
from ullage.records.damage import Damage
from ullage.records.journal import Entry


@dataclass(frozen=True, slots=True)
class _Part:
    """Bytes [begin, end) of a file, whose SHA-256 stands in the journal's entry number `entry`."""

    begin: int
    end: int
    sha256: str
    entry: int


def damaged_lines(folder: Path, entries: Iterable[Entry]) -> list[Damage]:
    """What of the lines that a journal's entries vouch for is gone or was changed: of each file the first."""
    found: list[Damage] = []
    by_file: dict[str, list[_Part]] = {}
    for number, entry in enumerate(entries):
        if "stage" in entry and "sha256" in entry:
            told = Fields(entry, f"{folder / 'journal.jsonl'}:{number + 1}")
            digests, ends = told.inner("sha256"), told.inner("bytes")
            for name in digests.values:
                parts = by_file.setdefault(name, [])
                begin = parts[-1].end if parts else 0
                parts.append(_Part(begin, ends.whole(name), digests.text(name), number))
    for name, parts in by_file.items():
        found += _damaged_parts(folder / f"{name}.jsonl", [part for part in parts if part.end > part.begin])
    return found


def kept_lines(entries: Iterable[Entry]) -> dict[str, int]:
    """The files of lines that a journal's entries name, and the length that the last of them says of each."""
    found: dict[str, int] = {}
    for entry in entries:
        if "stage" in entry and isinstance(entry.get("bytes"), dict):
            found |= {
                f"{name}.jsonl": length for name, length in Fields(entry, "").inner("bytes").wholes().items()
            }
    return found


def _damaged_parts(path: Path, parts: Sequence[_Part]) -> list[Damage]:
    if not parts:
        return []
    if not path.is_file():
        what = "is missing, but the journal has its lines; the run was changed"
        return [Damage(str(path), what, parts[0].entry)]
    with path.open("rb") as file:
        before = 0
        for part in parts:
            data = file.read(part.end - part.begin)
            lines = data.count(b"\n")
            if hashlib.sha256(data).hexdigest() != part.sha256:
                return [_damaged(path, before, data, part)]
            before += lines
    return []


def _damaged(path: Path, before: int, data: bytes, part: _Part) -> Damage:
    """Names the line that is none, or else all lines that were written together."""
    lines = data.count(b"\n")
    if len(data) < part.end - part.begin:
        what = "is shorter than the journal says; the run was changed"
        return Damage(f"{path}:{before + lines + 1}", what, part.entry)
    for number, line in enumerate(data.split(b"\n")[:-1], before + 1):
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            return Damage(f"{path}:{number}", "not JSON; the run was changed", part.entry)
    last = before + max(lines, 1)
    where = f"{path}:{before + 1}" + (f"-{last}" if last > before + 1 else "")
    return Damage(where, "not what was written: a line was changed, doubled, moved or lost", part.entry)
