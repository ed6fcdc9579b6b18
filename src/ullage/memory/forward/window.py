"""How far a phase reaches into a model's window, images counted."""

from __future__ import annotations

from ullage.errors import SpecError
from ullage.facts.architecture import Architecture
from ullage.phases.phase import Phase, Resident, Work


def prompt_of(resident: Resident, architecture: Architecture, work: Work) -> int:
    """New tokens of one sequence, images included. Raises SpecError where a model takes none."""
    vision = architecture.vision
    if work.images and vision is None:
        raise SpecError([f"role {resident.name}: {architecture.name} takes no images"])
    return work.prompt_tokens + (work.images * vision.tokens_per_image if vision is not None else 0)


def seen_tokens(resident: Resident, architecture: Architecture, phase: Phase, new: int) -> int:
    """Positions reached after `new` tokens. Raises SpecError beyond the model's or the engine's window."""
    seen = phase.work.cached_tokens + new
    limits = {architecture.name: architecture.max_positions}
    if resident.role.runs_with.memory == "own cache":
        limits[f"{resident.role.engine}.max_model_len"] = resident.role.settings.own_cache().max_model_len
    for name, limit in limits.items():
        if limit is not None and seen > limit:
            raise SpecError(
                [
                    f"role {resident.name}: phase {phase.name!r} reaches {seen} tokens, but {name} has a "
                    f"window of {limit}; shorten prompt_tokens or new_tokens"
                ]
            )
    return seen
