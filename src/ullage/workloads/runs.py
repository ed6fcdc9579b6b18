"""Runs of plans: begun and taken up."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from ullage.errors import UnsupportedError
from ullage.records.folder import RunFolder
from ullage.workloads.outcomes import gpu_set
from ullage.workloads.planned import plan
from ullage.workloads.recorded import planned_of_run, workload_of_run

if TYPE_CHECKING:
    from ullage.facts.gpu import GpuSet
    from ullage.planning.plan import Plan
    from ullage.records.record import Record
    from ullage.spec.workload import Workload


class Settings(TypedDict, total=False):
    """How a run is done: the keyword arguments of `run_plan`."""

    download: bool
    quiet: bool
    anyway: bool
    snapshot: bool
    strict: bool
    verbose: bool
    allow_nan: bool
    on: str


def run(
    workload: Workload,
    out: str | Path | None = None,
    gpus: str | None = None,
    *,
    base: Path | None = None,
    **settings: Unpack[Settings],
) -> tuple[Path, Record]:
    """Runs a workload where it is planned to run; the run's folder and its record.

    `out` is a new folder (default: the next free one under `runs/`), `gpus` what to plan for (default:
    the budget's, else this machine's). `download` (default False) lets models be fetched from the hub,
    `quiet` (True) shows no progress, `snapshot` (False) leaves the history of torch's allocator in the
    folder, `strict` (False) reads large weights whole to know them again when the run is resumed,
    `verbose` (False) lets the libraries' own notices through, `allow_nan` (False) keeps states that are NaN
    or infinite and counts them, `on` ("local") is where partitions are done:
    `ray`, or HOST:PORT of a cluster. Raises DoesNotFitError unless the plan fits or `anyway` (False).
    """
    return run_plan(plan_here(workload, gpus, base), out, **settings)


def plan_here(workload: Workload, gpus: str | None = None, base: Path | None = None) -> Plan:
    """The plan of what this very process is about to carry out of a workload, which builds on what it holds.

    `gpus` is what to plan for (default: the budget's, else this machine's).
    """
    carried_out = _carried_out(workload)
    if carried_out is not workload:
        workload, gpus = carried_out, None
    chosen = gpus or workload.budget.gpus or "local"
    cards = gpu_set(workload, chosen)
    _check_can_run(cards)
    from ullage.runtime.machine import this_process

    local = any(role.runs_with.local for role in workload.roles.values())
    here = this_process(cards) if local else None
    return plan(workload, chosen, base=base, advice=False, here=here)


def run_plan(made: Plan, out: str | Path | None = None, **settings: Unpack[Settings]) -> tuple[Path, Record]:
    """Carries out a plan, whoever made it and wherever; the run's folder and its record. As `run` else."""
    from ullage.runtime.opening import Options
    from ullage.spec.partition import Partition
    from ullage.workloads.execution import Begun, execute
    from ullage.workloads.partitioned import LOCAL, carrier_at

    for name in settings.keys() - Settings.__optional_keys__:
        raise TypeError(f"run_plan() got an unexpected keyword argument {name!r}")
    if _carried_out(made.workload) is not made.workload:
        made = plan_here(made.workload, base=made.base)
    if settings.get("on", LOCAL) != LOCAL and made.workload.partition is None:
        made = plan_here(
            made.workload.model_copy(update={"partition": Partition()}), made.asked or None, made.base
        )
    _check_can_run(made.gpus)
    folder = Path(out) if out is not None else next_folder(made.workload)
    options = Options(
        settings.get("download", False),
        settings.get("quiet", True),
        snapshot=settings.get("snapshot", False),
        verbose=settings.get("verbose", False),
        allow_nan=settings.get("allow_nan", False),
    )
    begun = Begun(
        anyway=settings.get("anyway", False),
        strict=settings.get("strict", False),
        carrier=carrier_at(settings.get("on", LOCAL), options),
    )
    return folder, execute(made, folder, options, begun)


def _carried_out(workload: Workload) -> Workload:
    """What a run does of it, as its kind says."""
    return workload if workload.section is None else workload.section.carried_out(workload)


def _check_can_run(gpus: GpuSet) -> None:
    """Raises UnsupportedError for devices that are planned and not run."""
    if gpus.abilities.platform == "apple":
        raise UnsupportedError(
            f"the plan is for {gpus.name}, and Ullage runs on no Mac's GPU: it is planned alone; run with "
            "--gpus cpu"
        )


def resume(
    folder: str | Path,
    *,
    base: str | Path | None = None,
    anyway: bool = False,
    download: bool = False,
    quiet: bool = True,
    verbose: bool = False,
    allow_nan: bool = False,
    retry: bool = True,
    on: str = "local",
) -> Record:
    """Goes on with a run that was cut short; its record. A finished run's record is given as it is.

    What failed by itself (a question that a server gave no usable answer to) is asked again, in a finished
    run too, unless `retry` is False.

    `base` is where its inputs are now (default: where they were, seen from the run's folder). Raises
    FormatError where anything in the folder is not what was written, InputError where models, versions or
    number of threads are not those it was begun with, unless `anyway`; the record says what was not.
    `allow_nan` goes on where NaN or infinite states have stopped a run, and counts them. `on` is where
    partitions are done, wherever they were before.
    """
    held = RunFolder(Path(folder))
    held.manifest()
    if held.complete:
        from ullage.workloads.retrying import anything_failed
        from ullage.workloads.wholeness import finished

        record = finished(held)
        if not (retry and anything_failed(held, planned_of_run(held))):
            return record
    from ullage.runtime.opening import Options
    from ullage.workloads.comparing import check_files
    from ullage.workloads.execution import Begun, execute
    from ullage.workloads.loading import plan_of
    from ullage.workloads.partitioned import carrier_at
    from ullage.workloads.retrying import take_back_failed

    workload, found = workload_of_run(held, base=base)
    check_files(held, workload, found)
    document = planned_of_run(held)
    made = plan_of(document, f"{held.path}/manifest.json", found)
    options = Options(download, quiet, verbose=verbose, allow_nan=allow_nan)
    return execute(
        made,
        held.path,
        options,
        Begun(
            resumed=True,
            anyway=anyway,
            carrier=carrier_at(on, options),
            prepare=partial(take_back_failed, planned=document) if retry else None,
        ),
    )


def next_folder(workload: Workload) -> Path:
    """KIND-1, KIND-2, ... in `runs`, or where the file says that its runs are."""
    within = Path("runs" if workload.section is None else workload.section.runs_in())
    number = 1
    while (path := within / f"{workload.kind}-{number}").exists():
        number += 1
    return path
