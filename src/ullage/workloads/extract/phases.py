"""Load; then one pass over the texts, chunked or whole, with or without gradients."""

from __future__ import annotations

from dataclasses import replace

from ullage.errors import SpecError
from ullage.spec.phase import Phase
from ullage.spec.workload import Workload
from ullage.workloads.extract.section import Section
from ullage.workloads.stages import base_work, captures_of, generate, hold, load


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Raises SpecError unless there is exactly one role, run in this process."""
    if len(workload.roles) != 1:
        raise SpecError([f"roles: kind extract takes one role, not {len(workload.roles)}"])
    name, role = next(iter(workload.roles.items()))
    if role.engine != "transformers":
        raise SpecError([f"roles.{name}.engine: states are captured with transformers alone"])
    section = workload.section
    assert isinstance(section, Section)
    held = (hold(name, workload),)
    work = base_work(name, workload)
    captures = captures_of(name, workload)
    if workload.training is not None:
        work = replace(
            work,
            activity="train",
            captures=captures,
            training=workload.training,
            gradient_checkpointing=workload.memory.enable_gradient_checkpointing,
            passes=1 / work.batch,
        )
        return (*load(name, held), Phase(f"{name} train", held, name, work))
    if not section.generate:
        work = replace(work, new_tokens=0)
    work = replace(work, passes=1 / work.batch)
    return load(name, held) + generate(name, held, work, "extract", captures, section.logits)
