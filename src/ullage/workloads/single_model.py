"""One model without a workload around it: load, read a prompt, generate (or train). Not a kind a
file can name; `ullage estimate` asks it."""

from __future__ import annotations

from ullage.phases.blocks import base_work, generate, hold, load, probed, stored_captures, train
from ullage.phases.phase import Phase
from ullage.spec.workload import ONE_MODEL, Workload

name = ONE_MODEL


def phases(workload: Workload) -> tuple[Phase, ...]:
    """The phases of the one role."""
    only = next(iter(workload.roles))
    held = (hold(only, workload),)
    work = base_work(only, workload)
    if workload.training is not None:
        return load(only, held) + train(only, held, work, workload)
    captures = stored_captures(only, workload)
    work = work.but(probed=probed(only, workload), shard_bytes=1 if captures else 0)
    return load(only, held) + generate(only, held, work, captures=captures)
