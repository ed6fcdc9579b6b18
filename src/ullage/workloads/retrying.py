"""What failed by itself in a run, and how a resume has it done again."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

from ullage.records.folder import RECORD, RunFolder
from ullage.records.parts import Parts
from ullage.spec.workload import Workload
from ullage.workloads.loading import workload_of
from ullage.workloads.registry import find_kind


def anything_failed(run: RunFolder, planned: Mapping[str, object]) -> bool:
    """Whether there is something that may be asked again in a run that is whole; `planned` is its plan's
    document."""
    workload = workload_of(planned, f"{run.path}/manifest.json", ())
    retrier = _retrier(workload)
    return retrier is not None and bool(retrier.failed(run, workload))


def take_back_failed(run: RunFolder, planned: Mapping[str, object]) -> None:
    """Takes back what failed in a run that is whole, so that it is done again. What is being put together of
    partitions stays as it is: it is whole once they are."""
    if Parts(run.path).count is not None or not anything_failed(run, planned):
        return
    (run.path / RECORD).unlink(missing_ok=True)  # first: the run is no longer finished
    workload = workload_of(planned, f"{run.path}/manifest.json", ())
    retrier = _retrier(workload)
    assert retrier is not None
    retrier.retry(run, workload)


def _retrier(workload: Workload) -> ModuleType | None:
    place = find_kind(workload.kind).retrier
    return import_module(place) if place else None
