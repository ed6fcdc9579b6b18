"""One copy of the model speaks for every player; probes read captured states as it does."""

from __future__ import annotations

from dataclasses import replace

from ullage.spec.phase import Phase
from ullage.spec.workload import Workload
from ullage.workloads.stages import base_work, captures_of, check_roles, generate, hold, load
from ullage.workloads.werewolf.section import Section

PLAYER = "player"


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Raises SpecError unless the one role is `player`. An example is one game."""
    check_roles(workload, (PLAYER,), (PLAYER,))
    section = workload.section
    assert isinstance(section, Section)
    held = (hold(PLAYER, workload),)
    turns = section.players * section.rounds * section.turns_per_round
    work = base_work(PLAYER, workload)
    work = replace(work, passes=turns / work.batch)
    captures = captures_of(PLAYER, workload)
    return load(PLAYER, held) + generate(PLAYER, held, work, captures=captures)
