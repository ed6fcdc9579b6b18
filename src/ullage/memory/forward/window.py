"""How far a pass reaches into a model's window, images counted."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.errors import SpecError, UnsupportedError
from ullage.facts.architecture import Architecture
from ullage.facts.rope import way_to
from ullage.memory.loaded import Loaded
from ullage.phases.phase import Work


@dataclass(eq=False)
class BeyondWindowError(Exception):
    """`work` reaches `seen` tokens, where `name` has room for `limit`; `way` says how it could have more."""

    work: Work
    seen: int
    name: str
    limit: int
    way: str = ""


def prompt_of(loaded: Loaded, work: Work) -> int:
    """New tokens of one sequence, images included. Raises SpecError where a model takes none, or none of
    that size."""
    try:
        return work.prompt_tokens + image_tokens(loaded.architecture, work)
    except UnsupportedError as error:
        raise SpecError([f"role {loaded.name}: {loaded.model.name} {error}"]) from error


def image_tokens(architecture: Architecture, work: Work) -> int:
    """Tokens that the images of one sequence take of its prompt. Raises UnsupportedError."""
    if not work.images:
        return 0
    if architecture.vision is None:
        raise UnsupportedError("takes no images")
    width, height = work.image_size
    try:
        return work.images * architecture.vision.lay(work.image_size).tokens
    except UnsupportedError as error:
        raise UnsupportedError(f"takes no image of {width}x{height}: {error}") from error


def seen_tokens(loaded: Loaded, work: Work, new: int) -> int:
    """Positions reached after `new` tokens. Raises BeyondWindowError past the window of model or engine."""
    seen = work.cached_tokens + new
    limit, served = loaded.architecture.max_positions, loaded.served
    if limit is not None and seen > limit:
        raise BeyondWindowError(work, seen, loaded.model.name, limit, way_to(loaded.architecture, seen))
    if served is not None and served.window is not None and seen > served.window:
        raise BeyondWindowError(work, seen, f"{served.engine}.max_model_len", served.window)
    return seen
