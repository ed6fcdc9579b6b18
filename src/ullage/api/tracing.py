"""Memory from moment to moment, from the model's own code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ullage.memory.timeline import Timeline
    from ullage.spec.workload import Workload


def trace(
    workload: Workload | str | Path | Mapping[str, object],
    role: str | None = None,
    phase: str | None = None,
    gpus: str | None = None,
    *,
    base: Path | None = None,
) -> Timeline:
    """What is alive and what torch's allocator reserves, moment by moment, while `role` does `phase` of a
    workload (the fullest, where they are not said), planned on `gpus` or those of its budget.

    `phase` is a phase's name, or what is done in it: prefill, decode, backward, train. The model's own code
    runs on fake tensors: no weights are needed, and no card. Raises InputError for a role or phase that there
    is not, UnsupportedError for what is not traced, with the reason, MissingExtraError without torch.
    """
    from ullage.workloads.loading import folder_of
    from ullage.workloads.planned import plan
    from ullage.workloads.timelines import trace_plan

    if isinstance(workload, str | Path):
        base = folder_of(workload) if base is None else base
    return trace_plan(plan(workload, gpus, base=base, advice=False), role, phase, base)
