"""The plans that are served: read, or made of a workload file."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.errors import InputError
from ullage.spec.workload import SERVED
from ullage.workloads.loading import folder_of, read_file
from ullage.workloads.served import Plans, serving_plans


def plans_of(file: str, gpus: str | None = None, overrides: Sequence[str] = ()) -> Plans:
    """The plan in a file, or those of serving the workload in it from this machine.

    Raises InputError for a plan of another kind, DoesNotFitError for roles that do not fit.
    """
    from ullage.planning.plan import Plan

    found = read_file(file, overrides)
    if not isinstance(found, Plan):
        return serving_plans(found, gpus, folder_of(file))
    if found.workload.kind != SERVED:
        raise InputError(
            f"{file}: is a plan of kind {found.workload.kind}, in which roles have their turns; give the "
            "workload file, or a plan of kind: serve"
        )
    if gpus:
        raise InputError(f"{file}: is a plan already; --gpus changes a workload file")
    return Plans(found)
