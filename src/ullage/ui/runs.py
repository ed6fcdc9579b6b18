"""Runs in a folder: each known by its own folder's name, and told as far as it can be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ullage.errors import UllageError
from ullage.fields import Fields
from ullage.records.folder import RunFolder
from ullage.records.parts import DEPOT, Parts
from ullage.records.pool import PoolSeen
from ullage.records.status import RunStatus, status_of
from ullage.records.timeline import FILE, Timeline, planned_live, read_timeline
from ullage.reports.charts import Line, Lines
from ullage.reports.svg import thinned
from ullage.reports.timeline_chart import timeline_chart

State = Literal["running", "cut short", "finished", "unreadable"]
REPORT: Final = "report.html"
"""The page that a kind writes into its finished runs."""
LARGEST_REPORT: Final = 64 * 2**20
"""Bytes of one that is served."""
MOST_RUNS: Final = 1_000
SHOWN: Final = 30
"""Points of a line that stand in the table, the last ones."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run's folder. `done` are pieces of work in its journal, `records` those of a run that has ended.
    `wrong` says what of it cannot be read; what can be is told all the same."""

    id: str
    state: State
    title: str = ""
    kind: str = ""
    gpus: str = ""
    verdict: str = ""
    done: int = 0
    records: int | None = None
    report: bool = False
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """A run's memory over time: its chart, and the last points of its lines."""

    chart: Lines | None
    last: Lines | None
    pool: PoolSeen | None
    wrong: tuple[str, ...] = ()


class Runs:
    """The folder that the door was opened with. What a request names is looked for among the names in it, and
    is never part of a path; links are followed by nobody."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def shown(self) -> str:
        """The folder, for people; empty where there is none."""
        return "" if self._folder is None else str(self._folder)

    def list(self) -> tuple[Run, ...]:
        """Every run, the last that was begun first."""
        held = sorted(self._paths(), key=_changed, reverse=True)
        return tuple(run_of(path) for path in held[:MOST_RUNS])

    def find(self, id: str) -> Path | None:
        """The folder of a run."""
        return next((path for path in self._paths() if id_of(path) == id), None)

    def report(self, id: str) -> bytes | None:
        """A finished run's own page."""
        path = self.find(id)
        page = None if path is None else path / REPORT
        if page is None or page.is_symlink() or not page.is_file() or page.stat().st_size > LARGEST_REPORT:
            return None
        return page.read_bytes()

    def _paths(self) -> Iterator[Path]:
        if self._folder is None or not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                yield path


def id_of(path: Path) -> str:
    """The folder's name, as text that can be written: bytes that are no UTF-8 stand as \\xff."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def _changed(path: Path) -> float:
    """Seconds since the epoch; 0 of what has gone meanwhile."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def run_of(path: Path) -> Run:
    """What can be told of one."""
    held = RunFolder(path)
    wrong: list[str] = []
    plan: Mapping[str, object] = {}
    try:
        plan = held.manifest().plan
    except (UllageError, OSError) as error:
        wrong.append(str(error))
    done, records = 0, None
    state: State = "running" if held.held else "finished" if held.complete else "cut short"
    try:
        done = held.done
        if held.complete:
            records = held.record().examples
    except (UllageError, OSError) as error:
        wrong.append(str(error))
    return Run(
        id_of(path),
        "unreadable" if not plan else state,
        str(plan.get("workload", "")),
        str(plan.get("kind", "")),
        str(plan.get("gpus", "")),
        str(plan.get("verdict", "")),
        done=done,
        records=records,
        report=(path / REPORT).is_file() and not (path / REPORT).is_symlink(),
        wrong=tuple(wrong),
    )


def course_of(path: Path) -> Course:
    """What is known of a run's memory, now or when it ended."""
    wrong: list[str] = []
    planned: dict[str, int] = {}
    try:
        plan = Fields(RunFolder(path).manifest().plan, f"{path}: a plan")
        planned = planned_live(plan)
    except (UllageError, OSError) as error:
        wrong.append(str(error))
    found = Timeline((), ())
    try:
        found = read_timeline(path / FILE)
    except (UllageError, OSError) as error:
        wrong.append(str(error))
    chart = timeline_chart(found, planned)
    return Course(chart, None if chart is None else _last(chart), _pool(path), tuple(wrong))


def far_of(path: Path) -> RunStatus | None:
    """How far a run is, where it can be read here: no store is asked for the sake of a page."""
    try:
        return None if is_elsewhere(path) else status_of(path)
    except (UllageError, OSError):
        return None  # what is wrong is told with the run


def is_elsewhere(path: Path) -> bool:
    """Whether what is done of a run lies in a store."""
    return (Parts(path).path / DEPOT).is_file()


def _last(chart: Lines) -> Lines:
    lines = tuple(Line(each.name, each.points[-SHOWN:], each.dashed) for each in chart.lines)
    return Lines(chart.title, f"The last {SHOWN} samples.", chart.x, chart.y, lines)


def _pool(path: Path) -> PoolSeen | None:
    from ullage.records.pool_of_run import pool_of_run

    try:
        return pool_of_run(path).seen
    except (UllageError, OSError):
        return None  # most runs have none


def timeline_document(run: Run, chart: Lines | None) -> dict[str, object]:
    """What the script that draws asks for: seconds, and of each line its values there, null where it has
    none."""
    lines = () if chart is None else chart.lines
    held = [dict(thinned(line.points)) for line in lines]
    seconds = sorted({second for each in held for second in each})
    return {
        "state": run.state,
        "unit": "" if chart is None else chart.y,
        "seconds": seconds,
        "lines": [
            {"name": line.name, "dashed": line.dashed, "values": [each.get(second) for second in seconds]}
            for line, each in zip(lines, held, strict=True)
        ],
    }
