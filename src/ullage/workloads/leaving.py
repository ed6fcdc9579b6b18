"""What a run leaves for later plans on this machine."""

from __future__ import annotations

import time
from importlib.metadata import PackageNotFoundError, version

from ullage.planning.plan import Plan
from ullage.records.evidence_file import keep_evidence
from ullage.records.folder import RunFolder
from ullage.records.observation import observations_of, shape_of
from ullage.records.record import Record
from ullage.records.timing import timings_of
from ullage.runtime.session import Session
from ullage.spec.workload import Workload


def leave_evidence(
    session: Session, record: Record, run: RunFolder, known_as: Workload, *, elsewhere: bool = False
) -> None:
    """Keeps the memory and the times of a run; what of it failed is said, and costs the run nothing.

    `known_as` is the workload with the names that plans are asked for by. A run that held no model leaves
    nothing: its process is not what a plan is for. One whose work was done `elsewhere` without cards leaves
    its times alone: what those processes held before any model is not known."""
    if not session.plan.phases:
        return
    shape, name = shape_of(known_as), run.path.resolve().name
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    cards = bool(session.plan.gpus.gpus) and not session.plan.gpus.abilities.simulated
    held = 0 if elsewhere else session.begun_with
    memory = () if elsewhere and not cards else observations_of(record, shape, name, date, held)
    timed = timings_of(record, session.plan, shape, name, date, _packages(session.plan))
    said = keep_evidence((*memory, *timed))
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
