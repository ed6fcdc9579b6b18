"""Runs: tried out, compared with their plans, reported anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ullage.workloads.runs import plan_here

if TYPE_CHECKING:
    from ullage.records.pool_of_run import PoolOfRun
    from ullage.records.status import RunStatus
    from ullage.records.verification import Verification
    from ullage.spec.workload import Workload
    from ullage.workloads.execution import Checked
    from ullage.workloads.repairing import RunCheck


def check(
    workload: Workload,
    gpus: str | None = None,
    *,
    base: Path | None = None,
    download: bool = False,
    quiet: bool = True,
) -> Checked:
    """Loads every model where the plan puts it and runs one smallest batch; peaks in bytes.

    `gpus`, `base`, `download` and `quiet` are those of `run`. A plan that does not fit is tried all the same:
    raises OutOfMemoryError where memory runs out, and as `run` for models and inputs that are not there.
    """
    from ullage.runtime.opening import Options
    from ullage.workloads.execution import check as check_plan

    return check_plan(plan_here(workload, gpus, base), Options(download, quiet))


def verify(folder: str | Path) -> Verification:
    """Predicted against measured of a finished run: bytes by phase, device and level or component; seconds.

    Raises InputError for a run that is not finished, FormatError where its folder was changed.
    """
    from ullage.records.folder import RunFolder
    from ullage.records.verification import verify as compare
    from ullage.workloads.wholeness import finished

    held = RunFolder(Path(folder))
    record = finished(held)
    return compare(held.manifest().plan, record)


def read_pool(folder: str | Path) -> PoolOfRun:
    """Which role's weights are where in a run that goes on, or were when it ended or was cut short.

    Raises FormatError where the folder holds no such run.
    """
    from ullage.records.pool_of_run import pool_of_run

    return pool_of_run(Path(folder))


def status(folder: str | Path) -> RunStatus:
    """How far a run is, from its folder alone: done and left, rate, cost so far, partitions, who does them.

    Raises FormatError where the folder holds no run.
    """
    from ullage.records.status import status_of

    return status_of(Path(folder))


def report(folder: str | Path, *, base: str | Path | None = None) -> tuple[Path, ...]:
    """Writes a finished run's tables and page anew; their paths. `base` is where its inputs are now.

    Raises InputError for a run that is not finished or of a kind without a report, FormatError where anything
    in its folder was changed.
    """
    from ullage.records.folder import RunFolder
    from ullage.workloads.reporting import report_anew

    return report_anew(RunFolder(Path(folder)), None if base is None else Path(base))


def check_run(folder: str | Path, *, repair: bool = False) -> RunCheck:
    """Whether a run's folder still is what was written, line by line and file by file.

    With `repair` what is not whole is taken away, so that `resume` does it again. Raises FormatError where
    the folder holds no run, or its manifest was changed.
    """
    from ullage.workloads.repairing import check_run as look

    return look(Path(folder), repair=repair)
