"""What this machine has, what of it is wrong, and whether a file can be run on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ullage.errors import InputError
from ullage.facts.health.finding import Finding, note, ok

if TYPE_CHECKING:
    from ullage.facts.gpu import GpuSet
    from ullage.facts.health.diagnosis import Diagnosis, Part
    from ullage.planning.plan import Plan
    from ullage.records.evidence import Evidence
    from ullage.spec.workload import Workload

Read = TypeVar("Read")


def doctor(
    workload: Workload | Plan | str | Path | Mapping[str, object] | None = None,
    gpus: str | None = None,
    *,
    base: Path | None = None,
    quick: bool = False,
) -> Diagnosis:
    """Looks at this machine, and at what a workload, given as `ullage.plan` takes it or as a plan, would need
    of it.

    Libraries that may break are imported in processes of their own, which takes seconds; `quick` reads their
    versions alone. Nothing is fetched, no hub is asked, and no lack of the machine raises: it is found.
    Raises as `ullage.load` for what is no workload, and InputError for `gpus` of none, or of a plan.
    """
    if workload is None:
        if gpus is not None:
            raise InputError(f"gpus {gpus}: says which cards a file is for; give the file as well")
        return _of_machine(quick)
    from ullage.planning.plan import Plan
    from ullage.spec.workload import Workload
    from ullage.workloads.loading import folder_of, load, read_file
    from ullage.workloads.readiness import readiness

    if isinstance(workload, str | Path):
        base = folder_of(workload) if base is None else base
        workload = read_file(workload)
    elif isinstance(workload, Mapping):
        workload = load(workload)
    if isinstance(workload, Plan):
        if gpus is not None:
            raise InputError(f"gpus {gpus}: a plan has its cards already; give the file it was made of")
        base, workload = workload.base, workload.workload
    if not isinstance(workload, Workload):
        raise InputError(f"{workload!r}: is no workload: give one, a mapping laid out as its file, or a path")
    found = _of_machine(quick)
    return replace(found, file=readiness(workload, found, gpus, base or Path()))


def _of_machine(quick: bool) -> Diagnosis:
    from ullage.facts.health.card_findings import findings_of_cards
    from ullage.facts.health.cards import read_cards
    from ullage.facts.health.diagnosis import CARDS, Diagnosis
    from ullage.facts.health.extras import findings_of_extras, read_extras
    from ullage.facts.health.host import read_host
    from ullage.facts.health.host_findings import findings_of_host
    from ullage.facts.health.library_findings import findings_of_libraries
    from ullage.facts.machine import local_gpus, processor
    from ullage.records.evidence_file import read_evidence
    from ullage.runtime.health.asking import try_libraries, versions

    cards, _ = _timed(read_cards)
    tried, trying = _timed(versions if quick else try_libraries)
    extras, reading = _timed(read_extras)
    host, looking = _timed(read_host)
    evidence, opening = _timed(read_evidence)
    here = processor() if cards.broken else local_gpus()
    parts = (
        _part("libraries", findings_of_libraries(tried, cards), trying),
        _part(CARDS, findings_of_cards(cards, tried.get("torch")), 0.0),
        _part("extras", findings_of_extras(extras), reading),
        _part("host", findings_of_host(host), looking),
        _part("evidence", _of_evidence(evidence, here), opening),
    )
    return Diagnosis(parts, cards, tried, extras, host, _runs(evidence, here), quick)


def _timed(read: Callable[[], Read]) -> tuple[Read, float]:
    begun = time.monotonic()
    found = read()
    return found, time.monotonic() - begun


def _part(name: str, findings: Iterable[Finding], seconds: float) -> Part:
    from ullage.facts.health.diagnosis import Part

    return Part(name, tuple(findings), seconds)


def _runs(evidence: Evidence, here: GpuSet) -> int:
    """Runs that were measured on this machine's card, or on its processor."""
    return len({each.run for each in evidence.observations if each.key.gpu == here.gpus[0].id})


def _of_evidence(evidence: Evidence, here: GpuSet) -> Iterator[Finding]:
    about = "evidence"
    if evidence.warning:
        yield note(about, evidence.warning)
    runs = _runs(evidence, here)
    if not runs:
        yield ok(about, f"no run was measured here on {here.gpus[0].id}; plans use what is usual")
    else:
        yield ok(about, f"{runs} measured {'run' if runs == 1 else 'runs'} on {here.gpus[0].id} inform plans")
