"""Attention as the device of a plan computes it, on fake tensors that lie on none.

Fake tensors are a processor's, so its own kernel is chosen by itself. Which of a card's kernels is chosen is
said here (aten/src/ATen/native/transformers/cuda/sdp_utils.cpp of torch 2.11), with what they take while they
run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Final

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from ullage.errors import UnsupportedError
from ullage.memory.traced import Asked

FLASH_HEAD: Final = 256
"""Widest heads of the flash kernel."""
_aten = torch.ops.aten
Given = tuple[object, ...]


@contextmanager
def as_on(asked: Asked) -> Iterator[None]:
    """Models run as on the device that is asked for.

    Raises UnsupportedError for a kernel that is another package's, and for a release of transformers that
    builds its masks otherwise.
    """
    if asked.kernel == "flash":
        raise UnsupportedError(
            f"{asked.model}: attention: flash: is another package's kernel, which a backward pass is not traced "
            "through; use attention: sdpa"
        )
    with _whole_sequences(), nullcontext() if asked.processor else _CardKernels():
        yield


@contextmanager
def _whole_sequences() -> Iterator[None]:
    """transformers looks into positions for several texts in one row, which no fake tensor has: there are
    none."""
    from transformers import masking_utils

    name = "find_packed_sequence_indices"
    looking = getattr(masking_utils, name, None)
    if looking is None:
        raise UnsupportedError(f"transformers.masking_utils has no {name}: this release is not known here")

    def none_found(position_ids: Tensor) -> None:
        looking(position_ids)

    try:
        setattr(masking_utils, name, none_found)
        yield
    finally:
        setattr(masking_utils, name, looking)


class _CardKernels(TorchFunctionMode):
    """While it is entered, scaled_dot_product_attention runs the kernel that a card would."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Given = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if func is not scaled_dot_product_attention:
            return func(*args, **kwargs)
        return _attend(*args, **kwargs)  # type: ignore[arg-type]


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """(batch, heads, queries, value_dim)"""
    half = query.dtype in (torch.float16, torch.bfloat16)
    one_width = query.shape[-1] == value.shape[-1]
    if attn_mask is None and half and one_width and query.shape[-1] <= FLASH_HEAD:
        width = query.shape[-1]
        scale = 1 / math.sqrt(width) if scale is None else scale
        padded = [torch.nn.functional.pad(each, (0, -width % 8)) if width % 8 else each for each in (query, key, value)]
        found: Tensor = _aten._scaled_dot_product_flash_attention(*padded, dropout_p, is_causal, scale=scale)[0]
        return found[..., :width]
    if enable_gqa:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with sdpa_kernel(SDPBackend.MATH):
            return scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=True
            )
    bias = attn_mask
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        no = torch.scalar_tensor(-math.inf, dtype=query.dtype)
        bias = torch.where(attn_mask, torch.scalar_tensor(0.0, dtype=query.dtype), no)
    if bias is not None:
        rows = query.shape[:3]
        bias = torch.nn.functional.pad(bias, (0, -key.shape[2] % 8))[..., : key.shape[2]] if key.shape[2] % 8 else bias
        bias = bias.expand(*rows, key.shape[2])
    efficient = _aten._scaled_dot_product_efficient_attention
    made: Tensor = efficient(query, key, value, bias, query.requires_grad, dropout_p, is_causal, scale=scale)[0]
    return made


def workspace_bytes(func: OpOverload, args: Sequence[object]) -> int:
    """What a card's attention takes while its backward pass runs: sums in fp32 of what it gives, and in the
    flash kernel those of each query head for the heads that share keys (flash_api.cpp, attention_backward.cu).
    """
    if func is _aten._scaled_dot_product_flash_attention_backward.default:
        _, query, key, value = args[:4]
        assert isinstance(query, Tensor) and isinstance(key, Tensor) and isinstance(value, Tensor)
        rows, width = 128 * -(-query.shape[2] // 128), 32 * -(-query.shape[3] // 32)
        sums = query.shape[0] * query.shape[1] * rows * (width + 1) * 4
        shared = query.shape[1] != key.shape[1]
        each_head = query.shape[0] * query.shape[1] * key.shape[2] * (key.shape[3] + value.shape[3])
        return sums + (each_head * query.element_size() if shared else 0)
    if func is _aten._scaled_dot_product_efficient_attention_backward.default:
        tensors = [each for each in args[1:4] if isinstance(each, Tensor)]
        return sum(each.numel() * 4 for each in tensors)
    return 0
