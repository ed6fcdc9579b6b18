"""The residency pool of a run: as it is now, as it was when the run was cut short, or when it ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.records.folder import RECORD, RunFolder
from ullage.records.pool import POOL, PoolSeen, pool_of, read_pool

State = Literal["running", "cut short", "ended"]


@dataclass(frozen=True, slots=True)
class PoolOfRun:
    """What was last `seen` of it; `running`: a process holds the folder, so that it is now."""

    folder: Path
    state: State
    seen: PoolSeen


class BesidePool(TypedDict, total=False):
    """What the document of a run's pool says of the run."""

    folder: str
    state: State


def pool_of_run(folder: Path) -> PoolOfRun:
    """Raises FormatError where the folder holds no run that had a pool, or what it holds was changed."""
    run = RunFolder(folder)
    running = run.held
    if (folder / POOL).exists():
        return PoolOfRun(folder, "running" if running else "cut short", read_pool(folder))
    record = run.record()
    if "pool" not in record.outcome:
        raise FormatError(f"{folder}: its run is of an earlier version, and left nothing of a pool")
    where = f"{folder / RECORD}: not a record of a run"
    return PoolOfRun(folder, "ended", pool_of(Fields(record.outcome, where).inner("pool"), where))
