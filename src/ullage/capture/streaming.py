"""Chunked prefill whose activation memory does not grow with the sequence.

Three things would grow it: a cache that is copied to append to it, a mask of chunk x keys, and keys and
values repeated for grouped heads. Here the cache of a layer that attends to everything is reserved once in
its final size, and attention runs over blocks of keys with a running maximum and sum (Milakov and
Gimelshein 2018, arXiv 1805.02867; Rabe and Staats 2021, arXiv 2112.05682). The result equals one whole
pass up to floating-point rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

from ullage.errors import UnsupportedError
from ullage.memory.forward.streaming import block_keys

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import DynamicCache, PreTrainedConfig

KERNEL: Final = "ullage_blockwise"


class AttentionOptions(TypedDict, total=False):
    """What changes scores. transformers gives an attention more options than it has: others do not."""

    softcap: float | None
    s_aux: Tensor | None


def blockwise_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Unpack[AttentionOptions],
) -> tuple[Tensor, None]:
    """Softmax attention of the newest queries over all keys, one block of keys after the other.

    query (batch, heads, new, head_dim); key, value (batch, kv_heads, seen, head_dim), the new positions
    last. Without a mask the attention is causal. Scores and sums are fp32. `softcap` bounds scores; `s_aux`
    (heads,) are sinks: logits that take probability and give nothing. Returns (batch, new, heads, head_dim).
    """
    import torch

    softcap, s_aux = options.get("softcap"), options.get("s_aux")
    batch, heads, new, width = query.shape
    groups, seen = key.shape[1], key.shape[2]
    scale = width**-0.5 if scaling is None else scaling
    query = query.reshape(batch, groups, heads // groups * new, width)
    rows = torch.arange(seen - new, seen, device=query.device).repeat(heads // groups)[:, None]
    total = query.new_zeros((*query.shape[:3], value.shape[-1]), dtype=torch.float32)
    highest = query.new_full((*query.shape[:3], 1), float("-inf"), dtype=torch.float32)
    norm = torch.zeros_like(highest)
    if s_aux is not None:
        sinks = s_aux.float().reshape(1, groups, heads // groups, 1).expand(batch, -1, -1, new)
        highest, norm = sinks.reshape(highest.shape).clone(), torch.ones_like(highest)
    size = block_keys(batch, heads, new)
    for begin in range(0, seen, size):
        end = min(begin + size, seen)
        scores = (query @ key[:, :, begin:end].transpose(-1, -2)).float().mul_(scale)
        if softcap is not None:
            scores = scores.div_(softcap).tanh_().mul_(softcap)
        if attention_mask is not None:
            _mask(scores, attention_mask[:, :, :, begin:end], heads // groups)
        elif end > seen - new:
            keys = torch.arange(begin, end, device=query.device)
            scores.masked_fill_(keys > rows, float("-inf"))
        highest, norm = _add(scores, value[:, :, begin:end], total, highest, norm)
        del scores  # before the next block's are made
    result = total.div_(norm).to(query.dtype).reshape(batch, heads, new, -1)
    return result.transpose(1, 2).contiguous(), None


def _mask(scores: Tensor, mask: Tensor, repeats: int) -> None:
    import torch

    mask = mask.repeat(1, 1, repeats, 1)
    if mask.dtype == torch.bool:
        scores.masked_fill_(~mask, float("-inf"))
    else:
        scores.add_(mask)


def _add(
    scores: Tensor, value: Tensor, total: Tensor, highest: Tensor, norm: Tensor
) -> tuple[Tensor, Tensor]:
    """Adds one block to the running sums, in place; the new maximum and sum of weights."""
    import torch

    top = torch.maximum(highest, scores.amax(-1, keepdim=True))
    # A row that has seen no key yet has no maximum: its weights are zero whatever it is measured from.
    top_or_zero = top.masked_fill(top == float("-inf"), 0.0)
    before = torch.exp(highest - top_or_zero)
    weights = scores.sub_(top_or_zero).exp_()
    norm = norm * before + weights.sum(-1, keepdim=True)
    total.mul_(before).add_(weights.to(value.dtype) @ value)
    return top, norm


def _mask_where_needed(
    *args: object, mask_function: Callable[..., object], **kwargs: object
) -> Tensor | None:
    """The bool mask of a sliding or padded pattern; None for the causal one, which needs none."""
    from transformers.masking_utils import causal_mask_function, sdpa_mask

    if mask_function is causal_mask_function and kwargs.get("attention_mask") is None:
        return None
    kwargs["allow_is_causal_skip"] = False
    build: Callable[..., Tensor | None] = sdpa_mask
    return build(*args, mask_function=mask_function, **kwargs)


@contextmanager
def blockwise(model: nn.Module) -> Iterator[None]:
    """The model attends block by block while this lasts. Raises UnsupportedError where it cannot."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(KERNEL, blockwise_attention)
    AttentionMaskInterface.register(KERNEL, _mask_where_needed)
    before = [(config, config._attn_implementation) for config in _configs(model)]
    if not getattr(model, "_supports_attention_backend", False):
        raise UnsupportedError(
            f"{type(model).__name__} does not let its attention be chosen, which streaming needs; leave "
            "streaming_chunk_size out"
        )
    try:
        for config, _ in before:
            config._attn_implementation = KERNEL
        yield
    finally:
        for config, kernel in before:
            config._attn_implementation = kernel


def _configs(model: nn.Module) -> list[PreTrainedConfig]:
    """Every configuration object that some module of the model asks for its attention."""
    found: dict[int, PreTrainedConfig] = {}
    for module in model.modules():
        config = getattr(module, "config", None)
        if config is not None and hasattr(config, "_attn_implementation"):
            found[id(config)] = config
    return list(found.values())


def reserved_cache(config: PreTrainedConfig, tokens: int) -> DynamicCache:
    """A transformers cache for `tokens` positions whose full-attention layers never move.

    Layers with a window keep transformers' own, which holds that window and no more.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    class ReservedLayer(DynamicLayer):
        """Keys and values written into place; `update` gives views of what has been written."""

        def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
            self.dtype, self.device = key_states.dtype, key_states.device
            batch, heads, _, width = key_states.shape
            self._all_keys = key_states.new_empty((batch, heads, tokens, width))
            self._all_values = value_states.new_empty((batch, heads, tokens, value_states.shape[-1]))
            self.keys, self.values = self._all_keys[:, :, :0], self._all_values[:, :, :0]
            self.is_initialized = True

        def update(
            self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
        ) -> tuple[Tensor, Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            assert self.keys is not None
            begin = self.keys.shape[-2]
            end = begin + key_states.shape[-2]
            self._all_keys[:, :, begin:end] = key_states
            self._all_values[:, :, begin:end] = value_states
            self.keys, self.values = self._all_keys[:, :, :end], self._all_values[:, :, :end]
            return self.keys, self.values

    cache = DynamicCache(config=config)
    if not cache.layers:
        raise UnsupportedError(f"{config.model_type} has no cache that can be carried from chunk to chunk")
    reserved: Callable[[], DynamicLayer] = ReservedLayer
    cache.layers = [reserved() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
