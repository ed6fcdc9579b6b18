"""How far a pass reaches into a model's window, images counted."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.errors import SpecError
from ullage.memory.loaded import Loaded
from ullage.phases.phase import Work


@dataclass(eq=False)
class BeyondWindowError(Exception):
    """`work` reaches `seen` tokens, where `name` has room for `limit`."""

    work: Work
    seen: int
    name: str
    limit: int


def prompt_of(loaded: Loaded, work: Work) -> int:
    """New tokens of one sequence, images included. Raises SpecError where a model takes none."""
    vision = loaded.architecture.vision
    if work.images and vision is None:
        raise SpecError([f"role {loaded.name}: {loaded.model.name} takes no images"])
    return work.prompt_tokens + (work.images * vision.tokens_per_image if vision is not None else 0)


def seen_tokens(loaded: Loaded, work: Work, new: int) -> int:
    """Positions reached after `new` tokens. Raises BeyondWindowError past the window of model or engine."""
    seen = work.cached_tokens + new
    limit, served = loaded.architecture.max_positions, loaded.served
    if limit is not None and seen > limit:
        raise BeyondWindowError(work, seen, loaded.model.name, limit)
    if served is not None and served.window is not None and seen > served.window:
        raise BeyondWindowError(work, seen, f"{served.engine}.max_model_len", served.window)
    return seen
