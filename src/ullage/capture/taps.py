"""Where a transformers decoder keeps the tensors that TransformerLens's hook names mean.

Definitions, for a block with residual stream x, all of shape (batch, tokens, hidden):

    resid_pre   x as it enters the block
    attn_out    what attention adds to it, after an output norm where the family has one
    resid_mid   resid_pre + attn_out (a block that adds attention and MLP at once has none)
    mlp_out     what the feed-forward part adds, after an output norm where the family has one
    resid_post  x as it leaves the block

and `hook_q`, `hook_k`, `hook_v` (batch, tokens, heads, head_dim): outputs of the projections, before head
norms and rotary embedding; `hook_z` (batch, tokens, heads, head_dim): what the output projection reads;
`hook_pattern` (batch, heads, queries, keys): attention probabilities, in the eager kernel alone. `logits`
(batch, tokens, vocabulary) are computed from the final norm's output at the positions that are kept, and
nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ullage.memory.captures.sites import LOGITS, Site
from ullage.runtime.layout import Layout, first_of

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig

_ATTENTION = ("self_attn", "attn", "attention", "self_attention")
_FEED_FORWARD = ("mlp", "block_sparse_moe", "feed_forward")
_OUTPUT = ("o_proj", "out_proj", "c_proj", "dense")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a hook sees of a module: its arguments, and its output once there is one."""

    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    output: object = None


Take = Callable[[Seen], "Tensor"]


@dataclass(frozen=True, slots=True)
class Tap:
    """A tensor at a module: `when` its forward begins or ends, `take` picks it from what is seen there."""

    module: nn.Module
    when: Literal["begin", "end"]
    take: Take


def tap_of(site: Site, layout: Layout) -> Tap | None:
    """Where `site` is in the model; None where it has none (no attention, no middle of the block)."""
    if site.hook == "hook_embed":
        return Tap(layout.embedding, "end", _output)
    if site.hook == LOGITS and layout.head is None:
        return None
    if site.hook in ("ln_final", "ln_final.hook_normalized", LOGITS):
        return _at(layout.final_norm, "end", _output)
    layer = layout.layers[site.block - 1]
    if site.hook == "hook_resid_pre":
        return Tap(layer, "begin", _input)
    if site.hook == "hook_resid_post":
        return Tap(layer, "end", _output)
    if site.hook == "hook_resid_mid":
        return _middle(layer)
    if site.hook == "hook_mlp_out":
        return _feed_forward_out(layer)
    attention = first_of(layer, _ATTENTION)
    if attention is None:
        return None
    if site.hook == "hook_attn_out":
        normed = getattr(layer, "post_attention_layernorm", None) if _norms_outputs(layer) else None
        return Tap(normed or attention, "end", _output)
    return _head_tap(site.hook, attention, layout.config)


def _at(module: nn.Module | None, when: Literal["begin", "end"], take: Take) -> Tap | None:
    return None if module is None else Tap(module, when, take)


def _input(seen: Seen) -> Tensor:
    return _tensor(seen.args[0] if seen.args else seen.kwargs["hidden_states"])


def _output(seen: Seen) -> Tensor:
    return _tensor(seen.output[0] if isinstance(seen.output, tuple) else seen.output)


def _pattern(seen: Seen) -> Tensor:
    assert isinstance(seen.output, tuple)
    return _tensor(seen.output[1])


def _tensor(value: object) -> Tensor:
    from torch import Tensor

    assert isinstance(value, Tensor)
    return value


def _norms_outputs(layer: nn.Module) -> bool:
    """Gemma 2 and 3 and OLMo-2 norm what a part adds, not only what it reads."""
    return hasattr(layer, "post_feedforward_layernorm")


def _middle(layer: nn.Module) -> Tap | None:
    """The stream between attention and feed-forward: what the norm before the latter reads."""
    if _parallel(layer):
        return None
    if _norms_outputs(layer):
        return _at(first_of(layer, ("pre_feedforward_layernorm", *_FEED_FORWARD)), "begin", _input)
    if not getattr(layer, "do_layer_norm_before", True):  # OPT-350m: the norm stands after the sum
        return _at(first_of(layer, ("fc1",)), "begin", _input)
    return _at(first_of(layer, ("post_attention_layernorm", "ln_2", "final_layer_norm")), "begin", _input)


def _parallel(layer: nn.Module) -> bool:
    return bool(getattr(layer, "use_parallel_residual", False))


def _feed_forward_out(layer: nn.Module) -> Tap | None:
    if _norms_outputs(layer):
        return _at(first_of(layer, ("post_feedforward_layernorm",)), "end", _output)
    return _at(first_of(layer, (*_FEED_FORWARD, "fc2")), "end", _output)


def _head_tap(hook: str, attention: nn.Module, config: PreTrainedConfig) -> Tap | None:
    heads = config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(attention, "head_dim", None) or config.hidden_size // heads
    if hook == "attn.hook_pattern":
        return Tap(attention, "end", _pattern)
    if hook == "attn.hook_z":
        return _at(first_of(attention, _OUTPUT), "begin", _heads(heads, _input))
    letter = hook[-1]
    own = getattr(attention, f"{letter}_proj", None)
    if own is not None:
        return Tap(own, "end", _heads(heads if letter == "q" else groups, _output))
    fused = first_of(attention, ("c_attn", "qkv_proj", "query_key_value"))
    if fused is None:
        return None
    if hasattr(attention, "query_key_value"):  # GPT-NeoX: query, key and value of one head side by side
        at = "qkv".index(letter)
        each = _heads(heads, _output)
        return Tap(fused, "end", lambda seen: each(seen)[..., at * width : (at + 1) * width])
    sizes = (heads * width, groups * width, groups * width)
    at = "qkv".index(letter)
    begin = sum(sizes[:at])
    count = heads if letter == "q" else groups
    each = _heads(count, lambda seen: _output(seen)[..., begin : begin + sizes[at]])
    return Tap(fused, "end", each)


def _heads(count: int, take: Take) -> Take:
    """Splits the last dimension of what `take` gives into `count` heads."""
    return lambda seen: take(seen).unflatten(-1, (count, -1))
