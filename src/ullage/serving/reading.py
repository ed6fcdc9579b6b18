"""Hidden states of one text, at the sites that a file captures of a role."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ullage.capture.proofs import proven_points
from ullage.capture.reader import Reader
from ullage.errors import UnsupportedError
from ullage.facts.architecture import Architecture
from ullage.runtime.layout import find_layout
from ullage.runtime.tokenizer import special_ids
from ullage.serving.refusal import Refusal
from ullage.serving.room import check_characters, too_long
from ullage.spec.rope import model_of

if TYPE_CHECKING:
    from ullage.capture.sites import Point
    from ullage.planning.plan import Plan
    from ullage.runtime.loader import Loaded
    from ullage.spec.capture import Capture


def states_of(
    loaded: Loaded,
    plan: Plan,
    name: str,
    captures: Sequence[Capture],
    text: str,
    sites: Sequence[str],
    room: int,
    say: Callable[[str], None],
) -> bytes:
    """A safetensors file: by site its states, (positions, width), and `tokens`, the text's ids; its metadata
    has `positions`, by site the ranges of tokens that the rows are of.

    Raises Refusal for a text of more than `room` tokens, and for `sites` (none: all) that are not captured.
    """
    import torch
    from safetensors.torch import save

    whole = model_of(plan.workload.roles[name], plan.models)
    assert isinstance(whole, Architecture)
    if loaded.tokenizer is None:
        raise UnsupportedError(f"role {name}: its folder has no tokenizer, so it cannot be given a text")
    check_characters(name, [text], room, "text")
    ids = loaded.tokenizer(text)["input_ids"]
    if len(ids) > room:
        raise too_long(name, len(ids), room, "text")
    chunk = plan.workload.memory.streaming_chunk_size
    layout = find_layout(loaded.model)
    ways = (chunk is not None, False)
    points = proven_points(captures, layout, name=whole.name, depth=len(whole.layers), ways=ways, say=say)
    reader = Reader(
        loaded.model,
        layout,
        _chosen(points, name, sites),
        chunk_tokens=chunk,
        device=loaded.device,
        special=special_ids(loaded.tokenizer),
    )
    (found,) = reader.read([ids])
    tensors = {site: states.cpu().contiguous() for site, states in found.states.items()}
    positions = {site: [[*each] for each in ranges] for site, ranges in found.positions.items()}
    return save(
        {**tensors, "tokens": torch.tensor(found.tokens)}, {"role": name, "positions": json.dumps(positions)}
    )


def _chosen(points: Sequence[Point], name: str, sites: Sequence[str]) -> tuple[Point, ...]:
    """The points that are asked for, by name or pattern."""
    for site in sites:
        if not any(fnmatchcase(point.name, site) for point in points):
            there = ", ".join(point.name for point in points[:5])
            said = f"sites: {site[:200]!r} is not captured of role {name}; there are: {there}, ..."
            raise Refusal(400, said, "invalid_value", param="sites")
    return tuple(
        point for point in points if not sites or any(fnmatchcase(point.name, site) for site in sites)
    )
