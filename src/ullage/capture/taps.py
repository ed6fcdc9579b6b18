"""Where a transformers decoder keeps the tensors that TransformerLens's hook names mean.

Definitions, for a block with residual stream x, all of shape (batch, tokens, hidden):

    resid_pre   x as it enters the block
    attn_out    what the part that mixes positions adds to it, norms and multipliers after it included
    resid_mid   resid_pre + attn_out (a block that adds attention and MLP at once has none)
    mlp_out     what the feed-forward part adds, norms and multipliers after it included
    resid_post  x as it leaves the block

and `hook_q`, `hook_k`, `hook_v` (batch, tokens, heads, head_dim): outputs of the projections, before head
norms and rotary embedding; `hook_z` (batch, tokens, heads, head_dim): what the output projection reads;
`hook_pattern` (batch, heads, queries, keys): attention probabilities, in the eager kernel alone.
`ln_final` is the final norm's output, `ln_final.hook_normalized` the same before its gain and bias. `logits`
(batch, tokens, vocabulary) are computed from the final norm's output at the positions that are kept, and
nowhere else. Which module holds a tensor is what `capture.proof` found to be so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ullage.capture.heads import HeadSizes, split_heads
from ullage.facts.families.places import Place

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig

PATTERN: Final = "attn.hook_pattern"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a hook sees of a module: its arguments, and its output once there is one."""

    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    output: object = None


Take = Callable[[Seen], "Tensor"]


@dataclass(frozen=True, slots=True)
class Tap:
    """A tensor at a module: `when` its forward begins or ends, `take` picks it from what is seen there, and
    multiplies it by `scale`."""

    module: nn.Module
    when: Literal["begin", "end"]
    take: Take
    scale: float = 1.0


FindTap = Callable[[Place, str, "nn.Module", "PreTrainedConfig"], Tap | None]
"""`tap_at`, or what stands for it."""


def kind_of(block: nn.Module) -> str:
    """What a block is made of: names of its modules, two levels deep."""
    names = {re.sub(r"\d+", "#", name) for name, _ in block.named_modules() if name and name.count(".") < 2}
    return " ".join(sorted(names))


def part_of(module: nn.Module, path: str) -> nn.Module | None:
    """The module at `path` below this one ("" is itself), None where there is none."""
    from torch import nn

    found: object = module
    for name in path.split(".") if path else ():
        found = getattr(found, name, None)
    return found if isinstance(found, nn.Module) else None


def tap_at(place: Place, hook: str, block: nn.Module, config: PreTrainedConfig) -> Tap | None:
    """The tap of a place in one block; None where the block has no such module or number."""
    module = part_of(block, place.module)
    if module is None:
        return None
    scale = getattr(block, place.scale, None) if place.scale else 1.0
    if not isinstance(scale, int | float):
        return None
    take = _take(place, hook, block, config, scale)
    if place.copied:
        return Tap(module, place.when, lambda seen: take(seen).clone(), scale)
    return Tap(module, place.when, take, scale)


def _take(place: Place, hook: str, block: nn.Module, config: PreTrainedConfig, scale: float) -> Take:
    if place.take == "pattern":
        return pattern_seen
    seen = given if place.when == "begin" else given_back
    if place.take == "whole":
        return (lambda what: seen(what) * scale) if place.scale else seen
    attention = part_of(block, place.module.rpartition(".")[0])
    assert attention is not None
    split = split_heads(place.take, hook[-1], attention, HeadSizes.of(attention, config))
    return lambda what: split(seen(what))


def given(seen: Seen) -> Tensor:
    """The states a module reads: its first tensor."""
    if seen.args:
        return _tensor(seen.args[0])
    named = seen.kwargs.get("hidden_states", next(iter(seen.kwargs.values()), None))
    return _tensor(named)


def given_back(seen: Seen) -> Tensor:
    """The states a module gives: all of its output, or the first of several."""
    return _tensor(seen.output[0] if isinstance(seen.output, tuple | list) else seen.output)


def pattern_seen(seen: Seen) -> Tensor:
    """Attention probabilities, among what an attention module gives beside its states."""
    from torch import Tensor

    assert isinstance(seen.output, tuple | list)
    found = [each for each in seen.output[1:] if isinstance(each, Tensor) and each.ndim == 4]
    return _tensor(found[0] if found else None)


def _tensor(value: object) -> Tensor:
    from torch import Tensor

    assert isinstance(value, Tensor)
    return value
