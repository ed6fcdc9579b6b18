"""Runs: tried out, compared with their plans, reported anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ullage.workloads.runs import plan_here, workload_of_run

if TYPE_CHECKING:
    from ullage.records.verification import Verification
    from ullage.spec.workload import Workload
    from ullage.workloads.execution import Checked


def check(
    workload: Workload,
    gpus: str | None = None,
    *,
    base: Path | None = None,
    download: bool = False,
    quiet: bool = True,
) -> Checked:
    """Loads every model where the plan puts it and runs one smallest batch."""
    from ullage.runtime.opening import Options
    from ullage.workloads.execution import check as check_plan

    return check_plan(plan_here(workload, gpus, base), Options(download, quiet))


def verify(folder: str | Path) -> Verification:
    """Predicted against measured of a finished run."""
    from ullage.records.folder import RunFolder
    from ullage.records.verification import verify as compare

    held = RunFolder(Path(folder))
    return compare(held.manifest().plan, held.record())


def report(folder: str | Path) -> tuple[Path, ...]:
    """Writes a finished run's tables and page anew; their paths."""
    from ullage.records.folder import RunFolder
    from ullage.workloads.execution import report as write_report

    held = RunFolder(Path(folder))
    record = held.record()
    workload, base = workload_of_run(held)
    return write_report(workload, held, base, record)
