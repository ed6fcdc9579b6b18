"""States that a run has stored, while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ullage.memory.needs import Group, Need, Needs
from ullage.phases.phase import Phase


def add_stored(phases: tuple[Phase, ...], asked: Sequence[dict[str, Needs]]) -> None:
    """States that a run has stored stay on the disk while later phases do other things."""
    found: list[tuple[int, str, tuple[Need, ...]]] = []
    for at, phase in enumerate(phases, 1):
        if not phase.work.shard_bytes:
            continue
        if at < len(phases) and (phases[at].running, phases[at].verb) == (phase.running, phase.verb):
            continue  # the phase that goes on counts what this one has stored
        needs = asked[at - 1].get(phase.running)
        elsewhere = () if needs is None else needs.elsewhere
        stored = tuple(need for need in elsewhere if (need.component, need.home) == ("captures", "disk"))
        found.append((at, phase.running, stored))
    for at, role, stored in found:
        for later in asked[at:]:
            later[role] = _beside(later.get(role), stored)


@lru_cache(maxsize=256)
def _beside(needs: Needs | None, stored: tuple[Need, ...]) -> Needs:
    kept = Group(stored)
    return Needs((kept,)) if needs is None else Needs((*needs.groups, kept), needs.blocks)
