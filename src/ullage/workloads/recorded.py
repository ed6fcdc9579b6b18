"""What a run was to do, and where what it read is, as its folder says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ullage.errors import FormatError, InputError
from ullage.records.folder import RunFolder
from ullage.records.places import found_base
from ullage.spec.workload import Workload
from ullage.workloads.loading import workload_of


def base_of_run(run: RunFolder, base: str | Path | None = None) -> Path:
    """The folder that a run's paths are relative to: `base`, else where it was, seen from the run's folder.

    Raises InputError where that is no folder.
    """
    said = run.manifest().base
    found = Path(base).resolve() if base is not None else found_base(said, run.path)
    if found is None:
        raise InputError(f"{run.path}: does not say where its inputs are; say it: --base FOLDER")
    if not found.is_dir():
        raise InputError(f"{run.path}: its inputs are not in {found}; say where they are now: --base FOLDER")
    return found


def planned_of_run(run: RunFolder) -> Mapping[str, object]:
    """The document of a run's plan."""
    manifest = run.manifest()
    if "settled" not in manifest.plan:
        what = "what its plan is of: it is of an earlier version"
        raise FormatError(f"{run.path}/manifest.json: lacks {what}; it was not written by this ullage")
    return manifest.plan


def workload_of_run(
    run: RunFolder, overrides: Sequence[str] = (), base: str | Path | None = None
) -> tuple[Workload, Path]:
    """What a run was to do, changed by `overrides`, and the folder its paths are relative to."""
    document = planned_of_run(run)
    return workload_of(document, f"{run.path}/manifest.json", overrides), base_of_run(run, base)


def gpus_of_run(run: RunFolder) -> str:
    """The GPUs a run was planned for, as `--gpus` takes them."""
    return str(planned_of_run(run)["asked"])
