"""One copy of the model speaks for every player; probes read captured states as it does."""

from __future__ import annotations

from ullage.kinds.werewolf.section import PLAYER, Section
from ullage.phases.blocks import (
    base_work,
    captures_of,
    generate,
    hold,
    load,
    own_section,
)
from ullage.phases.phase import Phase
from ullage.spec.workload import Workload


def phases(workload: Workload) -> tuple[Phase, ...]:
    """An example is one game. The talk a player has heard grows from turn to turn; every turn is
    planned with all of `prompt_tokens`, the talk at its longest.

    Raises SpecError unless the one role is `player`.
    """
    section = own_section(workload, Section)
    held = (hold(PLAYER, workload),)
    turns = section.players * section.rounds * section.turns_per_round
    work = base_work(PLAYER, workload)
    work = work.but(passes=turns / work.batch)
    captures = captures_of(PLAYER, workload)
    return load(PLAYER, held) + generate(PLAYER, held, work, captures=captures)
