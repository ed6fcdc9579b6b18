"""`evidence.jsonl`: one line of JSON per run and device, and per run and phase, under $ULLAGE_HOME or the
user's data folder.

What is in its place may have been cut short, edited or never ours: it is read without trust, set aside and
named, never destroyed, and never costs a plan or a run anything else.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

from ullage.files import is_nowhere
from ullage.records.evidence import NOTHING, Evidence
from ullage.records.evidence_place import evidence_file, usual_path
from ullage.records.observation import Observation, line_of, read_observation
from ullage.records.timing import Timing, read_timing, timing_line

LARGEST_FILE: Final = 16_000_000
"""Bytes; some 40,000 runs. A larger file is none of ours."""


def read_evidence(path: Path | None = None) -> Evidence:
    """What past runs left; a missing file is empty, what is no observation is set aside and counted."""
    target = path or evidence_file()
    if is_nowhere(target):
        return Evidence(file=str(target))
    damage = _damage(target)
    if damage:
        return Evidence(damage=damage, file=str(target))
    try:
        lines = target.read_bytes().splitlines()
    except FileNotFoundError:
        return Evidence(file=str(target))
    except OSError as error:
        return Evidence(damage=f"cannot be read: {error.strerror or error}", file=str(target))
    found = [_read(line) for line in lines if line.strip()]
    aside = Counter(each for each in found if isinstance(each, str))
    observations = tuple(each for each in found if isinstance(each, Observation))
    timings = tuple(each for each in found if isinstance(each, Timing))
    return Evidence(observations, tuple(aside.items()), file=str(target), timings=timings)


def _read(line: bytes) -> Observation | Timing | str:
    """What a line holds, or why it is nothing of ours."""
    try:
        found: object = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(found, dict):
        return "no observation"
    return read_timing(found) if "seconds" in found else read_observation(found)


def _damage(path: Path) -> str:
    """Why what lies at `path` is not opened at all; "" where it is a file, or nothing."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if not stat.S_ISREG(there.st_mode):
        return "is a folder, not a file" if stat.S_ISDIR(there.st_mode) else "is no ordinary file"
    return "too large for a file of evidence" if there.st_size > LARGEST_FILE else ""


@lru_cache(maxsize=4)
def _parsed(path: str, changed: int, size: int) -> Evidence:
    return read_evidence(Path(path))


def known_evidence() -> Evidence:
    """`read_evidence` of the usual file, read anew only when it has changed: plans come by the thousand."""
    path = usual_path()
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return NOTHING
    except OSError:
        return read_evidence(Path(path))
    return _parsed(path, there.st_mtime_ns, there.st_size)


def keep_evidence(measured: Iterable[Observation | Timing], path: Path | None = None) -> str:
    """Appends what was measured, one write each, so that runs side by side do not mix their lines.

    What is no file of evidence as a whole is renamed aside first. What could not be kept, or was set aside,
    in one line; "" where there is nothing to say. Raises nothing: a run has its record whatever lies here.
    """
    target = path or evidence_file()
    lines = [_line(each) + "\n" for each in measured]
    if not lines:
        return ""
    if is_nowhere(target):
        return "no home folder is known, so this run leaves no evidence for later plans; set ULLAGE_HOME"
    said = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        damage = read_evidence(target).damage
        if damage:
            said = f"{target}: {damage}; renamed to {_renamed(target).name}"
        with target.open("ab") as file:
            # A line that was cut short by a kill must not take the next one with it.
            begin = "\n" if file.tell() and not _ends_a_line(target) else ""
            file.write((begin + "".join(lines)).encode("utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return f"{target}: what this run measured cannot be kept as evidence: {reason}"
    return said


def _line(measured: Observation | Timing) -> str:
    return timing_line(measured) if isinstance(measured, Timing) else line_of(measured)


def _renamed(target: Path) -> Path:
    number = 1
    while (aside := target.with_name(f"{target.name}.aside-{number}")).exists():
        number += 1
    target.rename(aside)
    return aside


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def clear_evidence(path: Path | None = None) -> Evidence:
    """Removes the file and returns what was in it. Raises OSError where it cannot be removed."""
    target = path or evidence_file()
    held = read_evidence(target)
    target.unlink(missing_ok=True)
    return held
