"""Runs: begun, taken up, judged again, compared with their plans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ullage.api.planning import gpu_set, models_of, plan, sections, settle
from ullage.errors import FormatError, InputError

if TYPE_CHECKING:
    from ullage.records.folder import RunFolder
    from ullage.records.record import Record
    from ullage.records.verification import Verification
    from ullage.spec.workload import Workload
    from ullage.workloads.execution import Checked


def run(
    workload: Workload,
    out: str | Path | None = None,
    gpus: str | None = None,
    *,
    base: Path | None = None,
    download: bool = False,
    quiet: bool = True,
    anyway: bool = False,
    snapshot: bool = False,
) -> tuple[Path, Record]:
    """Runs a workload where it is planned to run; the run's folder and its record.

    `out` is a new folder (default: the next free one under `runs/`), `gpus` what to plan for (default:
    the budget's, else this machine's); `snapshot` leaves the history of torch's allocator there. Raises
    DoesNotFitError unless the plan fits or `anyway`.
    """
    where = base or Path()
    chosen = gpus or workload.budget.gpus or "local"
    folder = Path(out) if out is not None else _next_folder(workload)
    record = _planned_and_done(
        workload, where, chosen, folder, download=download, quiet=quiet, anyway=anyway, snapshot=snapshot
    )
    return folder, record


def _planned_and_done(workload: Workload, base: Path, gpus: str, folder: Path, **options: Any) -> Record:
    """The record of doing `workload` in `folder` as it is planned for `gpus`, in the precisions that fit."""
    from ullage.runtime.session import this_process
    from ullage.workloads.execution import execute

    models = models_of(workload, base)
    here = this_process(gpu_set(workload, gpus)) if models else None
    made = plan(workload, gpus, base=base, advice=False, here=here)
    settled, _ = settle(workload, made.gpus, models, here)
    return execute(settled, made, models, base, gpus, folder, **options)


def resume(folder: str | Path, *, download: bool = False, quiet: bool = True) -> Record:
    """Goes on with a run that was cut short; its record. A finished run's record is given as it is."""
    from ullage.records.folder import RunFolder
    from ullage.records.record import read_record
    from ullage.runtime.session import this_process
    from ullage.workloads.execution import execute

    held = RunFolder(Path(folder))
    manifest = held.manifest()
    if held.complete:
        return read_record(held.record(), str(folder))
    workload, where = _workload_of(held)
    models = models_of(workload, where)
    here = this_process(gpu_set(workload, manifest["gpus"])) if models else None
    made = plan(workload, manifest["gpus"], base=where, advice=False, here=here)
    return execute(
        workload,
        made,
        models,
        where,
        manifest["gpus"],
        Path(folder),
        resume=True,
        download=download,
        quiet=quiet,
        anyway=True,
    )


def check(
    workload: Workload,
    gpus: str | None = None,
    *,
    base: Path | None = None,
    download: bool = False,
    quiet: bool = True,
) -> Checked:
    """Loads every model where the plan puts it and runs one smallest batch."""
    from ullage.runtime.session import this_process
    from ullage.workloads.execution import check as check_workload

    where = base or Path()
    chosen = gpu_set(workload, gpus or workload.budget.gpus or "local")
    models = models_of(workload, where)
    here = this_process(chosen) if models else None
    made = plan(workload, gpus or workload.budget.gpus or "local", base=where, advice=False, here=here)
    settled, _ = settle(workload, chosen, models, here)
    return check_workload(settled, made, models, where, download=download, quiet=quiet)


def verify(folder: str | Path) -> Verification:
    """Predicted against measured of a finished run."""
    from ullage.records.folder import RunFolder
    from ullage.records.record import read_record
    from ullage.records.verification import verify as compare

    held = RunFolder(Path(folder))
    return compare(held.manifest().get("plan", {}), read_record(held.record(), str(folder)))


def judge(
    folder: str | Path,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    gpus: str | None = None,
    *,
    download: bool = False,
    quiet: bool = True,
) -> tuple[Path, Record]:
    """Judges the answers of a finished evaluation again, in a new folder; nothing is generated.

    `overrides` change or add judges, as `roles.judge.model=...`; judges they leave alone keep their verdicts.
    Raises InputError for changes that need other answers.
    """
    from ullage.records.folder import RunFolder
    from ullage.workloads.evaluate.rejudging import check_rejudging, copy_kept

    held = RunFolder(Path(folder))
    held.record()
    before, base = _workload_of(held)
    if before.kind != "evaluate":
        raise InputError(f"{folder}: is a run of kind {before.kind}; only evaluations are judged")
    after, _ = _workload_of(held, overrides)
    check_rejudging(held, before, after, base)
    chosen = gpus or held.manifest()["gpus"]
    target = Path(out) if out is not None else _next_folder(after)
    record = _planned_and_done(
        after,
        base,
        chosen,
        target,
        download=download,
        quiet=quiet,
        prepare=lambda new: copy_kept(held, new, before, after),
    )
    return target, record


def report(folder: str | Path) -> tuple[Path, ...]:
    """Writes a finished run's tables and page anew; their paths."""
    from ullage.records.folder import RunFolder
    from ullage.workloads.execution import report as write_report

    held = RunFolder(Path(folder))
    record = held.record()
    workload, base = _workload_of(held)
    return write_report(workload, held, base, record)


def _workload_of(run: RunFolder, overrides: Sequence[str] = ()) -> tuple[Workload, Path]:
    """What a run was to do, changed by `overrides`, and the folder its paths are relative to."""
    from ullage.spec.parse import parse_workload

    manifest = run.manifest()
    lacking = [key for key in ("workload", "base", "gpus", "inputs", "environment") if key not in manifest]
    if lacking:
        raise FormatError(f"{run.path}/manifest.json: lacks {lacking[0]}; it was not written by `ullage run`")
    where = f"{run.path}/manifest.json"
    return parse_workload(manifest["workload"], where, sections(), overrides), Path(manifest["base"])


def _next_folder(workload: Workload) -> Path:
    """runs/KIND-1, runs/KIND-2, ..."""
    number = 1
    while (path := Path("runs") / f"{workload.kind}-{number}").exists():
        number += 1
    return path
