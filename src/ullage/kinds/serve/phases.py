"""Each role is asked by whoever comes: brought where it is not there, it works beside those that stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ullage.kinds.serve.section import Section
from ullage.phases.blocks import base_work, generate, load, own_section, stored_captures
from ullage.phases.phase import Phase
from ullage.phases.residency import residency_of
from ullage.spec.workload import Workload

STATES: Final = "states"
"""The verb of reading texts for their captured states."""


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Each role writes, paints or reads whole batches of what it is planned for; where captures are taken of
    it, it reads prompts for them too.

    Unless the file says otherwise all roles stay on the device; those that never leave do whatever it says.
    Raises SpecError.
    """
    return tuple(_phases(workload, own_section(workload, Section)))


def _phases(workload: Workload, section: Section) -> Iterator[Phase]:
    residency = residency_of(workload, workload.roles, "device", pinned=section.staying(workload))
    yield from residency.first_loads()
    for name in residency.names:
        held = residency.while_active({name, *residency.staying})
        role, work = workload.roles[name], base_work(name, workload)
        if role.images or role.runs_with.memory == "pipeline":
            work = work.but(batch=1, passes=1.0)  # pictures are looked at, and painted, one by one
        if name not in residency.staying:
            yield from load(name, held, 1 / work.batch)
        yield from generate(name, held, work)
        captures = stored_captures(name, workload)
        if captures:
            reading = work.but(new_tokens=0, caches=False, logits="none")
            yield from generate(name, held, reading, STATES, captures, "none")
