"""Load; then one pass over the texts, chunked or whole, with or without gradients."""

from __future__ import annotations

from typing import Final

from ullage.kinds.extract.section import Section
from ullage.memory.captures.sites import LOGITS
from ullage.phases.blocks import (
    backward,
    base_work,
    generate,
    hold,
    load,
    own_section,
    probed,
    stored_captures,
    train,
)
from ullage.phases.phase import Phase
from ullage.spec.capture import Capture
from ullage.spec.workload import Workload
from ullage.units import parse_bytes

EXTRACT: Final = "extract"
"""The verb of reading states of given texts."""


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Raises SpecError unless there is exactly one role, run in this process."""
    section = own_section(workload, Section)
    name = next(iter(workload.roles))
    held = (hold(name, workload),)
    work = base_work(name, workload).but(
        shard_bytes=parse_bytes(section.shard), numpy_files=section.store == "npy"
    )
    if workload.training is not None:
        return load(name, held) + train(name, held, work, workload)
    captures = all_captures(name, workload, section)
    if section.backward:
        work = work.but(reentrant=section.use_reentrant)
        return load(name, held) + backward(name, held, work, EXTRACT, captures)
    if not section.generate:
        work = work.but(new_tokens=0, caches=False, probed=probed(name, workload))
        return load(name, held) + generate(name, held, work, EXTRACT, captures, "none")
    return load(name, held) + generate(name, held, work, "", captures, "last")


def all_captures(name: str, workload: Workload, section: Section) -> tuple[Capture, ...]:
    """The captures of role `name`, and one of logits where they are asked for."""
    found = stored_captures(name, workload)
    if section.logits != "none":
        allowed = bool(found) and all(capture.allow_nan for capture in found)
        found += (
            Capture(role=name, sites=(LOGITS,), positions=section.logits, keep="disk", allow_nan=allowed),
        )
    return found
