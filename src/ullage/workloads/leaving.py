"""What a run leaves for later plans on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from ullage.planning.plan import Plan
from ullage.records.evidence_file import keep_evidence
from ullage.records.folder import RunFolder
from ullage.records.observation import Observation, observations_of, shape_of
from ullage.records.record import Record
from ullage.records.timing import Timing, timings_of
from ullage.runtime.session import Session
from ullage.spec.workload import Workload


def leave_evidence(
    session: Session,
    records: Iterable[tuple[Record, int]],
    run: RunFolder,
    known_as: Workload,
    *,
    timed: bool = True,
) -> None:
    """Keeps the memory and the times of a run; what of it failed is said, and costs the run nothing.

    `records` are what was measured on each kind of machine, with the bytes that a process held there before
    any model; without `timed` nothing is said of times: replicas that share a card, or a processor, hold one
    another up. `known_as` is the workload with the names that plans are asked for by. A run that held no
    model leaves nothing: its process is not what a plan is for."""
    if not session.plan.phases:
        return
    shape, sizeless = shape_of(known_as), shape_of(known_as, sizes=False)
    name = run.path.resolve().name
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    found: list[Observation | Timing] = []
    for record, held in records:
        found += observations_of(record, shape, name, date, held)
        if timed:
            found += timings_of(record, session.plan, sizeless, name, date, _packages(session.plan))
    said = keep_evidence(found)
    if said:
        session.say(said)


def _packages(plan: Plan) -> dict[str, str]:
    """What quantizes each role's weights, with its version."""
    found = {}
    for name, role in plan.roles.items():
        scheme = role.precision.scheme
        if scheme is not None and scheme.on_load is not None:
            package = scheme.on_load.package
            try:
                found[name] = f"{package} {version(package)}"
            except PackageNotFoundError:
                continue
    return found
