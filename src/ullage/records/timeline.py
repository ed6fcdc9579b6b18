"""Memory over time, as a run noted it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ullage.fields import Fields
from ullage.records.notes import read_notes

FILE: Final = "timeline.jsonl"

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
