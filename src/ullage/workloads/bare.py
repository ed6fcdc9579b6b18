"""One model without a workload around it: load, read a prompt, generate (or train). Not a kind a file
can name; `ullage estimate` asks it."""

from __future__ import annotations

from dataclasses import replace

from ullage.spec.phase import Phase
from ullage.spec.value import Value
from ullage.spec.workload import Workload
from ullage.workloads.stages import base_work, captures_of, generate, hold, load

name = "estimate"
section = Value


def phases(workload: Workload) -> tuple[Phase, ...]:
    """The phases of the one role."""
    only = next(iter(workload.roles))
    held = (hold(only, workload),)
    work = replace(base_work(only, workload), passes=1 / (workload.roles[only].batch or workload.batch))
    captures = captures_of(only, workload)
    if workload.training is not None:
        work = replace(
            work,
            activity="train",
            captures=captures,
            training=workload.training,
            gradient_checkpointing=workload.memory.enable_gradient_checkpointing,
        )
        return (*load(only, held), Phase(f"{only} train", held, only, work))
    return load(only, held) + generate(only, held, work, captures=captures)
