"""The proof that a family's sites are what their names say, made on a small random model of the same config.

The small model (`runtime.shrunk`) has every feature of the user's config and texts longer than its windows
and original lengths. In fp32, states must be transformers' own, sums must hold, heads must make the
attention that was computed, and a text read alone must give what it gives in a batch, in chunks and token by
token; each to TOLERANCE of the layer's largest state. What passes is used; what does not is refused with the
identity that broke.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ullage.capture.final import model_sites
from ullage.capture.identities import Broken, Found, Recorded, held_places
from ullage.capture.recording import record
from ullage.capture.repetition import compare_readings
from ullage.capture.sites import COPIED, Places, find_points, held_in
from ullage.capture.taps import FindTap, kind_of, tap_at
from ullage.errors import UllageError, UnsupportedError
from ullage.facts.families.places import Place
from ullage.memory.captures.sites import MODEL_SITES
from ullage.runtime.layout import Layout, find_layout
from ullage.runtime.shrunk import TOKENS, VOCABULARY, build_small
from ullage.spec.capture import Capture

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True, slots=True)
class Proof:
    """What was proven of one config's family under one version of transformers, in `seconds`.

    `streamed` and `generated` are the hooks that hold in one pass, and not in chunks or token by token.
    """

    family: str
    version: str
    seconds: float
    places: Places
    streamed: Mapping[str, Broken]
    generated: Mapping[str, Broken]

    @property
    def whole(self) -> bool:
        """Whether every site that a block of the family defines holds."""
        blocks = self.places.blocks.values()
        return not any(isinstance(each, Broken) for block in blocks for each in block.values())

    @property
    def states(self) -> bool:
        """Whether the residual stream, at least, holds in every block."""
        return {"hook_resid_pre", "hook_resid_post"} <= set(held_in(self.places))

    def broken(self) -> dict[str, Broken]:
        """What is broken, by hook: in the first kind of block where it is."""
        found: dict[str, Broken] = {}
        for block in (*self.places.blocks.values(), self.places.ends):
            for hook, each in block.items():
                if isinstance(each, Broken):
                    found.setdefault(hook, each)
        return found

    def check(self, hooks: Sequence[str], *, chunked: bool = False, writing: bool = False) -> None:
        """Raises UnsupportedError for hooks that do not hold in chunks, or where tokens are written."""
        for asked, broken, way in (
            (chunked, self.streamed, "streaming_chunk_size: leave it out"),
            (writing, self.generated, "generating: read the whole text instead"),
        ):
            hook = next((each for each in hooks if asked and each in broken), None)
            if hook is not None:
                kept = [each for each in held_in(self.places) if each not in broken]
                raise UnsupportedError(
                    f"captures: {self.family}: {hook}: {broken[hook]}; {way}, or ask for what holds: "
                    f"{', '.join(kept) or 'no site'}"
                )


def prove(
    config: PreTrainedConfig, kind: type[PreTrainedModel] | None = None, find: FindTap = tap_at
) -> Proof:
    """The proof for a model of `config`, `kind` its class where transformers does not know which.

    Raises UnsupportedError for what no small model can be made of, or does not run, in transformers' words,
    and for several residual streams.
    """
    from transformers import __version__

    begin = time.perf_counter()
    small = build_small(config, kind)
    try:
        layout = find_layout(small)
        ids = _texts(layout)
        blocks, hidden = record(layout, ids, find)
        ends = model_sites(small, layout, ids, hidden, blocks[-1])
    except UllageError as error:
        raise UnsupportedError(f"{config.model_type}: {error}") from error
    except Exception as error:  # whatever the model's own code says
        said = " ".join(str(error).split())[:300]
        raise UnsupportedError(f"{config.model_type}: a small model of it does not run: {said}") from error
    places = Places(_of_kinds(layout, blocks), ends)
    names = [hook if hook in MODEL_SITES else f"blocks.*.{hook}" for hook in held_in(places)]
    streamed: Mapping[str, Broken] = {}
    generated: Mapping[str, Broken] = {}
    if names:
        points = find_points([Capture(sites=tuple(names))], layout, places, name=config.model_type, find=find)
        batch, streamed, generated = compare_readings(small, layout, ids, points)
        if "hook_embed" in batch:  # some models go on to scale what the table gave, in place
            places = Places(places.blocks, {**ends, "hook_embed": COPIED})
            points = find_points(
                [Capture(sites=tuple(names))], layout, places, name=config.model_type, find=find
            )
            batch, streamed, generated = compare_readings(small, layout, ids, points)
        places = _without(places, batch)
    seconds = round(time.perf_counter() - begin, 2)
    return Proof(config.model_type, __version__, seconds, places, streamed, generated)


def _texts(layout: Layout) -> Tensor:
    """Token ids (3, TOKENS) of texts that share nothing but their length."""
    import torch

    draw = torch.Generator().manual_seed(1)
    return torch.randint(4, min(layout.rows or VOCABULARY, VOCABULARY), (3, TOKENS), generator=draw)


def _of_kinds(layout: Layout, blocks: Sequence[Recorded]) -> dict[str, Found]:
    kinds: dict[str, list[Recorded]] = defaultdict(list)
    for block, recorded in zip(layout.layers, blocks, strict=True):
        kinds[kind_of(block)].append(recorded)
    return {kind: held_places(members) for kind, members in kinds.items()}


def _without(places: Places, differing: Mapping[str, Broken]) -> Places:
    """The same places, less the hooks that differ in a batch."""
    blocks = {
        kind: {
            hook: differing.get(hook, place) if isinstance(place, Place) else place
            for hook, place in block.items()
        }
        for kind, block in places.blocks.items()
    }
    return Places(blocks, {hook: differing.get(hook, how) for hook, how in places.ends.items()})
