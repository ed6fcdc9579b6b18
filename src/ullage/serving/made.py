"""The plan that is served: read, or made of a workload file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ullage.errors import InputError
from ullage.spec.workload import SERVED
from ullage.workloads.loading import folder_of, read_file
from ullage.workloads.served import serving_plan

if TYPE_CHECKING:
    from ullage.planning.plan import Plan


def plan_of(file: str, gpus: str | None = None, overrides: Sequence[str] = ()) -> Plan:
    """The plan in a file, or of serving the workload in it from this machine.

    Raises InputError for a plan of another kind, DoesNotFitError for roles that do not fit.
    """
    from ullage.planning.plan import Plan

    found = read_file(file, overrides)
    if not isinstance(found, Plan):
        return serving_plan(found, gpus, folder_of(file))
    if found.workload.kind != SERVED:
        raise InputError(
            f"{file}: is a plan of kind {found.workload.kind}, in which roles have their turns; give the "
            "workload file, or a plan of kind: serve"
        )
    if gpus:
        raise InputError(f"{file}: is a plan already; --gpus changes a workload file")
    return found
