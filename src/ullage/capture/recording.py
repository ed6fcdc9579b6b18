"""One pass of a small model with everything its blocks hold written down."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ullage.capture.hooks import listening_at
from ullage.capture.identities import PRE, K, Q, Recorded, V
from ullage.capture.products import multiplying
from ullage.capture.taps import FindTap, Seen, Tap, part_of, tap_at
from ullage.errors import UllageError, UnsupportedError
from ullage.facts.families.places import KEY_NORMS, QUERY_NORMS, VALUE_NORMS, Place, gates, places
from ullage.memory.captures.sites import LAYER_SITES
from ullage.runtime.layout import Layout

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedConfig

Both = tuple["Tensor", "Tensor"]
"""What was seen, and the same tensor as the pass left it."""
GATE = "gate"


def record(layout: Layout, ids: Tensor, find: FindTap = tap_at) -> tuple[list[Recorded], Sequence[Tensor]]:
    """Every place of every block while the model reads `ids` (batch, tokens); transformers' hidden states.

    Raises UnsupportedError for blocks that run more than once or hold several residual streams.
    """
    import torch

    held: list[dict[str, dict[Place, Both]]] = [defaultdict(dict) for _ in layout.layers]
    runs = [0] * len(layout.layers)
    with ExitStack() as stack:
        for index, block in enumerate(layout.layers):
            for hook in (*LAYER_SITES, GATE):
                for place in gates() if hook == GATE else places(hook):
                    tap = _tap(find, place, hook, block, layout.config)
                    if tap is not None:
                        keep = _keep(held[index][hook], place, tap, ids.shape)
                        stack.enter_context(listening_at(tap, keep))

            def count(_seen: Seen, index: int = index) -> None:
                runs[index] += 1

            stack.enter_context(listening_at(Tap(block, "begin", lambda _: torch.empty(0)), count))
        products = stack.enter_context(multiplying(layout.layers, *ids.shape))
        with torch.no_grad():
            out = layout.base(
                input_ids=ids, use_cache=False, output_hidden_states=True, output_attentions=True
            )
    if set(runs) != {1}:
        raise UnsupportedError(
            f"blocks run {sorted(set(runs))} times in one pass, so a site has no one tensor"
        )
    at = [{hook: _unchanged(block[hook]) for hook in LAYER_SITES} for block in held]
    for each in at:
        if not each[PRE] or next(iter(each[PRE].values())).ndim != 3:
            raise UnsupportedError(
                "blocks carry several residual streams, or none that is (batch, tokens, hidden)"
            )
    hidden = tuple(getattr(out, "hidden_states", None) or ())
    states = _aligned(hidden, [next(iter(each[PRE].values())) for each in at])
    return [
        Recorded(
            each,
            _normed(each, layout.layers[index]),
            products[index],
            *states[index],
            gates=[seen for seen, _ in held[index][GATE].values()],
            feeds=_feeds(layout.layers[index]),
        )
        for index, each in enumerate(at)
    ], hidden


def _unchanged(held: dict[Place, Both]) -> dict[Place, Tensor]:
    """What was seen at each place; where the block wrote over it afterwards, the place says so."""
    import torch

    return {
        place if torch.equal(seen, now) or place.scale else place._replace(copied=True): seen
        for place, (seen, now) in held.items()
    }


def _feeds(block: nn.Module) -> bool:
    """Whether what a block calls its mixer mixes nothing (Nemotron-H)."""
    mixer = part_of(block, "mixer")
    return (
        mixer is not None
        and re.search(r"mlp|moe|expert|feed", type(mixer).__name__, re.IGNORECASE) is not None
    )


def _aligned(
    hidden: Sequence[Tensor], entering: Sequence[Tensor]
) -> list[tuple[Tensor | None, Tensor | None]]:
    """transformers' states before and after each block. Some families list what enters the first block,
    others begin with what leaves it."""
    count = len(entering)
    if len(hidden) < count:
        return [(None, None)] * count
    if hidden[0].shape == entering[0].shape and bool((hidden[0] == entering[0]).all()):
        padded = [*hidden, None]
        return [(padded[index], padded[index + 1]) for index in range(count)]
    return [(hidden[index - 1] if index else entering[0], hidden[index]) for index in range(count)]


def _tap(find: FindTap, place: Place, hook: str, block: nn.Module, config: PreTrainedConfig) -> Tap | None:
    try:
        return find(place, hook, block, config)
    except (UllageError, AttributeError, ZeroDivisionError):
        return None


def _keep(held: dict[Place, Both], place: Place, tap: Tap, sizes: torch.Size) -> Callable[[Seen], None]:
    """Writes down what lies at a place; a place whose tensor has another form is none."""

    def keep(seen: Seen) -> None:
        try:
            tensor = tap.take(seen)
        except (AssertionError, RuntimeError, ValueError, IndexError):
            return
        if tensor.ndim == 2 and tensor.shape[0] == sizes.numel():
            tensor = tensor.unflatten(0, sizes)
        held[place] = (tensor.detach().clone(), tensor.detach())

    return keep


def _normed(at: dict[str, dict[Place, Tensor]], block: nn.Module) -> dict[tuple[str, Place], list[Tensor]]:
    """Queries and keys as they are, and as the norms beside their projections leave them: each head by
    itself, or all as one."""
    found: dict[tuple[str, Place], list[Tensor]] = {}
    for hook, names in ((Q, QUERY_NORMS), (K, KEY_NORMS), (V, VALUE_NORMS)):
        for place, tensor in at[hook].items():
            beside = place.module.rpartition(".")[0]
            norms = (part_of(block, f"{beside}.{name}") for name in names)
            found[hook, place] = [tensor]
            for norm in norms:
                if norm is not None:
                    found[hook, place] += _forms(norm, tensor)
    return found


def _forms(norm: nn.Module, tensor: Tensor) -> Iterator[Tensor]:
    """A norm of (batch, tokens, heads, width): of each head, of all as one, of heads before tokens."""
    import torch

    turned = tensor.transpose(1, 2)
    for form in (tensor, tensor.flatten(-2), turned):
        try:
            with torch.no_grad():
                normed = norm(form)
        except (RuntimeError, TypeError, ValueError):
            continue
        if normed.shape == form.shape:
            yield normed.transpose(1, 2) if form is turned else normed.reshape(tensor.shape)
