"""Memory over time, as a run noted it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ullage.fields import Fields
from ullage.files import check_ordinary
from ullage.records.notes import read_notes
from ullage.records.seal import read_line

FILE: Final = "timeline.jsonl"
LAST: Final = 64 * 1024
"""Bytes at the end of a timeline that are read for what is being done now."""

Level = Literal["live", "process"]
"""What was sampled: the bytes that tensors hold, or, where nobody counts those, the process's."""


@dataclass(frozen=True, slots=True)
class Course:
    """One device's bytes by seconds since the run began."""

    device: str
    level: Level
    points: tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The course of each device, and when each phase began."""

    courses: tuple[Course, ...]
    starts: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Doing:
    """What a run does: its `name`, `done` of `total` records of it (None: nobody knows how many), and `rate`
    records a second of late, None where nothing came of it yet."""

    name: str
    done: int
    total: int | None
    rate: float | None


def planned_live(plan: Fields) -> dict[str, int]:
    """The high value of what is alive at the peak of each device of a written plan, in bytes. Raises
    FormatError."""
    return {each.text("name"): each.inner("live").whole("high") for each in plan.each("devices")}


def read_timeline(path: Path) -> Timeline:
    """Of a run's timeline.jsonl; nothing where there is none. Raises FormatError for lines that are no such
    notes."""
    points: dict[str, list[tuple[float, int]]] = {}
    levels: dict[str, Level] = {}
    starts: list[tuple[float, str]] = []
    for number, row in enumerate(read_notes(path) if path.is_file() else (), 1):
        line = Fields(row, f"{path}:{number}")
        seconds, phase = line.number("seconds"), line.text("phase")
        level: Level = "live" if row.get("live") is not None else "process"
        if row.get(level) is not None:
            device = line.text("device")
            levels[device] = level
            points.setdefault(device, []).append((seconds, line.whole(level)))
        if not starts or starts[-1][1] != phase:
            starts.append((seconds, phase))
    courses = tuple(Course(device, levels[device], tuple(each)) for device, each in points.items())
    return Timeline(courses, tuple(starts))


def doing_now(path: Path) -> Doing | None:
    """Of the end of a timeline, lines that were changed left out; None where it says nothing of it. Raises
    FormatError for notes that say no such thing."""
    if not path.is_file():
        return None
    check_ordinary(path)
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - LAST, 0))
        rows = [row for line in file if line.endswith(b"\n") and (row := read_line(line)) is not None]
    noted = [Fields(row, f"{path}: a note") for row in rows]
    if not noted or "doing" not in noted[-1]:
        return None
    last, name = noted[-1], noted[-1].text("doing")
    first = next(each for each in noted if "doing" in each and each.text("doing") == name)
    done, seconds = (last.number(key) - first.number(key) for key in ("done", "seconds"))
    rate = done / seconds if done > 0 and seconds > 0 else None
    return Doing(name, last.whole("done"), last.whole_or_none("total"), rate)
