"""What is damaged in a run's folder, and taken away so that a resume does it again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ullage.capture.index import FOLDER as STATES
from ullage.capture.keeping import damaged_states
from ullage.errors import UnsupportedError
from ullage.files import check_ordinary
from ullage.records.damage import Damage, refuse
from ullage.records.fits import damaged_fits, fitted_files
from ullage.records.folder import JOURNAL, MANIFEST, OURS, RECORD, RunFolder
from ullage.records.journal import Entry, recovered, scan, write_journal
from ullage.records.kept_lines import damaged_lines, kept_lines
from ullage.records.notes import keep_whole_notes
from ullage.records.parts import PARTITIONS
from ullage.spec.probe import OF_A_FIT
from ullage.workloads.reporting import report_anew
from ullage.workloads.wholeness import LOST, damage_of

STAYS: Final = (OURS - {RECORD}) | {PARTITIONS}
"""What a repaired run has beside the files that its journal names."""


@dataclass(frozen=True, slots=True)
class RunCheck:
    """What was found in a run's folder: every place that is `damaged`; `done` pieces of work are whole.

    `dropped` says what a repair took away, a line each; nothing where none was asked for or needed.
    """

    folder: Path
    complete: bool
    done: int
    damaged: tuple[Damage, ...]
    dropped: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the folder is whole, or was made so."""
        return not self.damaged or bool(self.dropped)

    def __repr__(self) -> str:
        said = f"{len(self.damaged)} places damaged" if self.damaged else "whole"
        return f"<Check of the run in {self.folder}: {said}, {self.done} pieces of work>"


def check_run(folder: Path, *, repair: bool = False) -> RunCheck:
    """What is damaged in a run's folder; with `repair` it is taken away, so that a resume does it again.

    Raises FormatError where the folder holds no run, or its manifest is damaged: then nothing says what the
    rest is of.
    """
    run = RunFolder(folder)
    found = damage_of(run)
    dropped: tuple[str, ...] = ()
    if found and repair:
        refuse([one for one in found if one.where == str(run.path / MANIFEST)], LOST)
        dropped = tuple(_written_anew(run, found) if all(one.page for one in found) else _repair(run))
    return RunCheck(folder, run.complete, len(scan(run.path / JOURNAL).entries), tuple(found), dropped)


def _written_anew(run: RunFolder, found: Sequence[Damage]) -> list[str]:
    """Has damaged pages written anew; where there is nobody who writes them, the run is no longer ended."""
    try:
        report_anew(run)
    except UnsupportedError:
        with run.lock():
            return [*(_removed(Path(one.where), run.path) for one in found), *_unended(run)]
    return [f"{Path(one.where).name} as it was; it is written anew" for one in found]


def _repair(run: RunFolder) -> list[str]:
    """Takes away what is not whole; what that was, a line each.

    A journal is kept up to the first entry that cannot be vouched for: what follows it may build on it. Then
    the folder is what a kill after that entry would have left.
    """
    with run.lock():
        said = _unended(run)
        if lines := keep_whole_notes(run.path):
            said.append(f"{_count(lines, 'line')} of log.jsonl and timeline.jsonl")
        path = run.path / JOURNAL
        check_ordinary(path)
        entries, lost = recovered(path.read_bytes() if path.exists() else b"")
        if lost:
            said.append(f"{_count(lost, 'line')} of journal.jsonl that did not follow from those before")
        bad = [
            *damaged_lines(run.path, entries),
            *damaged_states(run.path / STATES, entries, growing=not run.complete),
        ]
        keep = min((damage.entry for damage in bad if damage.entry is not None), default=len(entries))
        if keep < len(entries):
            said.append(f"{_count(len(entries) - keep, 'piece')} of work from journal.jsonl:{keep + 1} on")
        write_journal(path, entries[:keep])
        damaged = {Path(one.where).parent for one in damaged_fits(run.path, entries[:keep])}
        said += [_removed(probe, run.path) for probe in sorted(damaged) if probe.exists()]
        return said + _cut(run.path, entries[:keep])


def _unended(run: RunFolder) -> list[str]:
    """Takes the record away: a resume writes another."""
    if not run.complete:
        return []
    return [_removed(run.path / RECORD, run.path)]


def _cut(folder: Path, entries: Sequence[Entry]) -> list[str]:
    """Takes away files and ends of files that no entry vouches for."""
    lengths, said = kept_lines(entries), []
    fitted = {OF_A_FIT} if fitted_files(entries) else set()
    for path in sorted(folder.iterdir()):
        if path.name in STAYS or path.name == STATES or path.name in fitted:
            continue
        if path.name not in lengths:
            said.append(_removed(path, folder))
        elif path.stat().st_size > lengths[path.name]:
            said.append(f"the last {path.stat().st_size - lengths[path.name]:,} bytes of {path.name}")
            os.truncate(path, lengths[path.name])
    if not any("units" in entry or "states" in entry for entry in entries) and (folder / STATES).is_dir():
        said.append(_removed(folder / STATES, folder))
    return said


def _removed(path: Path, folder: Path) -> str:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return path.relative_to(folder).as_posix()


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
