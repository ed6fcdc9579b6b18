"""What is served of a workload file, and the plan of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import DoesNotFitError, SpecError
from ullage.phases.blocks import is_local
from ullage.spec.value import Schedule
from ullage.spec.workload import SERVED, Workload
from ullage.units import gib
from ullage.workloads.planned import plan
from ullage.workloads.registry import find_kind
from ullage.workloads.runs import plan_here

if TYPE_CHECKING:
    from ullage.planning.plan import Plan

Makes = Callable[[Workload, str | None, Path | None], "Plan"]
IN_TURN: Final[tuple[Schedule, ...]] = ("simultaneous", "swapped", "sequential")
"""Where idle roles may be, the quickest way first: on the device, in host memory, on disk."""
ADVISED: Final = 3
"""Pieces of advice that are told."""


@dataclass(frozen=True, slots=True)
class Plans:
    """What is served: the `roles`, and of a kind that is served as one model the `whole`, by its own plan."""

    roles: Plan
    whole: Plan | None = None


def served(workload: Workload, pinned: Collection[str] = ()) -> Workload:
    """The roles of a workload of any kind, as they are planned to work, to be served: kind `serve`.

    Raises SpecError for roles that cannot be.
    """
    if workload.kind == SERVED:
        return workload
    kept = ("name", "roles", "batch", "prompt_tokens", "new_tokens", "examples", "schedule", "captures")
    fields = {name: getattr(workload, name) for name in (*kept, "memory", "budget", "cards")}
    section = find_kind(SERVED).section.model_validate({"pinned": tuple(pinned)})
    made = Workload(kind=SERVED, section=section, **fields)
    wrong = [f"{'.'.join(map(str, each.path))}: {each.problem}" for each in section.mistakes(made)]
    if wrong:
        raise SpecError(wrong)
    return made


def serving_plans(
    workload: Workload, gpus: str | None = None, base: Path | None = None, make: Makes = plan_here
) -> Plans:
    """The plan of serving a workload's roles from this process: the quickest way to hold them that fits. Of a
    kind that is served as one model, those stay whom its own plan has stay. `make` plans a workload.

    Raises DoesNotFitError, with what would fit, where none does.
    """
    whole = make(workload, gpus, base) if find_kind(workload.kind).server else None
    if whole is not None:
        workload = whole.workload
    pinned = () if whole is None else whole.staying()
    made = None
    for each in _layouts(served(workload, pinned)):
        made = make(each, gpus, base)
        if made.verdict != "does not fit":
            return Plans(made, whole)
    assert made is not None
    raise DoesNotFitError(*_refusal(made, base))


def _layouts(workload: Workload) -> Iterator[Workload]:
    local = [role for role in workload.roles.values() if is_local(role)]
    if workload.schedule != "auto" or len(local) < 2:
        yield workload
        return
    for each in IN_TURN:
        yield workload.model_copy(update={"schedule": each})


def _refusal(made: Plan, base: Path | None) -> Iterator[str]:
    """What does not fit in the plan that takes least, and what would."""
    worst = min((d for d in made.devices if d.ullage is not None), key=lambda device: device.ullage or 0)
    assert worst.usable is not None
    yield (
        f"the roles do not fit, however they take turns: {worst.name} would need up to "
        f"{gib(worst.peak.device.high)} of {gib(worst.usable)} in {worst.peak_phase}"
    )
    advised = plan(made.workload, made.asked, base=base).advice[:ADVISED]
    for advice in advised:
        changes = " ".join(f"--set {path}={value}" for path, value in advice.changes)
        yield f"would fit: {' '.join(filter(None, (changes, f'--gpus {advice.gpus}')))}"
    if not advised:
        yield "no change that was tried makes them fit; serve fewer roles, or smaller models"
