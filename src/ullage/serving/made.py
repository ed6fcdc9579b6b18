"""From a file to its server: the plans that are served are read, or made of a workload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ullage.errors import InputError
from ullage.serving.server import Listening, listen
from ullage.spec.workload import SERVED
from ullage.workloads.loading import folder_of, read_file
from ullage.workloads.served import Plans, serving_plans


def plans_of(file: str | Path, gpus: str | None = None, overrides: Sequence[str] = ()) -> Plans:
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


def serve(
    file: str | Path,
    gpus: str | None = None,
    *,
    listening: Listening | None = None,
    download: bool = False,
    quiet: bool = True,
    ready: Callable[[str, Callable[[], None]], None] = lambda address, stop: None,
) -> None:
    """Serves the roles of a workload file, or of a plan of kind `serve`, until a signal ends it.

        ullage.serve("workload.yaml", listening=ullage.Listening(port=8321))

    `ready` is told the address once it listens, and what ends the server as a signal does. Raises
    DoesNotFitError, with what would fit, for roles that do not; InputError for an address that cannot be
    taken, or that others reach and no token guards.
    """
    from ullage.runtime.opening import Options

    listen(plans_of(file, gpus), listening or Listening(), Options(download, quiet), ready)
