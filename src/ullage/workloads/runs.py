"""Runs of plans: begun, taken up, and what they were to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ullage.errors import FormatError
from ullage.records.folder import RunFolder
from ullage.workloads.planned import gpu_set, plan

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.records.record import Record
    from ullage.spec.workload import Workload

MANIFEST: Final = {"plan": dict, "base": str, "inputs": list, "environment": dict}
"""What a run's manifest holds beside its heading."""


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
    made = plan_here(workload, gpus, base)
    return run_plan(made, out, download=download, quiet=quiet, anyway=anyway, snapshot=snapshot)


def plan_here(workload: Workload, gpus: str | None = None, base: Path | None = None) -> Plan:
    """The plan of a workload that this very process is about to carry out, which builds on what it holds.

    `gpus` is what to plan for (default: the budget's, else this machine's).
    """
    from ullage.runtime.machine import this_process

    chosen = gpus or workload.budget.gpus or "local"
    local = any(role.runs_with.local for role in workload.roles.values())
    here = this_process(gpu_set(workload, chosen)) if local else None
    return plan(workload, chosen, base=base, advice=False, here=here)


def run_plan(
    made: Plan,
    out: str | Path | None = None,
    *,
    download: bool = False,
    quiet: bool = True,
    anyway: bool = False,
    snapshot: bool = False,
) -> tuple[Path, Record]:
    """Carries out a plan, whoever made it and wherever; the run's folder and its record. As `run` else."""
    from ullage.runtime.opening import Options
    from ullage.workloads.execution import Begun, execute

    folder = Path(out) if out is not None else next_folder(made.workload)
    options = Options(download=download, quiet=quiet, snapshot=snapshot)
    return folder, execute(made, folder, options, Begun(anyway=anyway))


def resume(folder: str | Path, *, download: bool = False, quiet: bool = True) -> Record:
    """Goes on with a run that was cut short; its record. A finished run's record is given as it is."""
    from ullage.records.record import read_record

    held = RunFolder(Path(folder))
    held.manifest()
    if held.complete:
        return read_record(held.record(), str(folder))
    from ullage.runtime.opening import Options
    from ullage.workloads.execution import Begun, execute
    from ullage.workloads.loading import plan_of

    document, base = _planned(held)
    made = plan_of(document, f"{held.path}/manifest.json", base)
    return execute(made, held.path, Options(download, quiet), Begun(resumed=True, anyway=True))


def _planned(run: RunFolder) -> tuple[dict[str, Any], Path]:
    """The document of a run's plan, and the folder its paths are relative to."""
    manifest = run.manifest()
    lacking = [key for key, kind in MANIFEST.items() if not isinstance(manifest.get(key), kind)]
    if lacking or "settled" not in manifest["plan"]:
        what = lacking[0] if lacking else "what its plan is of: it is of an earlier version"
        raise FormatError(f"{run.path}/manifest.json: lacks {what}; it was not written by this ullage")
    return manifest["plan"], Path(manifest["base"])


def workload_of_run(run: RunFolder, overrides: Sequence[str] = ()) -> tuple[Workload, Path]:
    """What a run was to do, changed by `overrides`, and the folder its paths are relative to."""
    from ullage.workloads.loading import workload_of

    document, base = _planned(run)
    return workload_of(document, f"{run.path}/manifest.json", overrides), base


def gpus_of_run(run: RunFolder) -> str:
    """The GPUs a run was planned for, as `--gpus` takes them."""
    return str(_planned(run)[0]["asked"])


def next_folder(workload: Workload) -> Path:
    """runs/KIND-1, runs/KIND-2, ..."""
    number = 1
    while (path := Path("runs") / f"{workload.kind}-{number}").exists():
        number += 1
    return path
