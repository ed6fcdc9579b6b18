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
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.functional import pad, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from ullage.errors import UnsupportedError
from ullage.memory.traced import Asked
from ullage.runtime.live import turned_bytes

FLASH_HEAD: Final = 256
"""Widest heads of the flash kernel."""
ALIGNED: Final = 8
"""Elements that a row of a mask, and a head of the flash kernel, is padded to."""
_aten = torch.ops.aten


@contextmanager
def as_on(asked: Asked) -> Iterator[None]:
    """Models run as on the device that is asked for.

    Raises UnsupportedError for a kernel that is another package's, and for a release of transformers that
    builds its masks otherwise.
    """
    if asked.kernel == "flash":
        raise UnsupportedError(
            f"{asked.model}: attention: flash: is another package's kernel, which a backward pass is not "
            "traced through; use attention: sdpa"
        )
    with _as_untraced(), _Copies(), nullcontext() if asked.processor else _CardKernels():
        yield


@contextmanager
def _as_untraced() -> Iterator[None]:
    """transformers looks at what a mask bars, and whether several texts stand in one row, unless it finds
    tensors to be fake: here those of masks and positions have values."""
    from transformers import masking_utils

    name = "is_tracing"
    tracing = getattr(masking_utils, name, None)
    if tracing is None:
        raise UnsupportedError(f"transformers.masking_utils has no {name}: this release is not known here")
    try:
        setattr(masking_utils, name, lambda *_: False)
        yield
    finally:
        setattr(masking_utils, name, tracing)


class _Copies(TorchFunctionMode):
    """While it is entered, a deep copy of a fake tensor is another fake: torch would copy its bytes."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if func is Tensor.__deepcopy__ and isinstance(args[0], FakeTensor):
            return _deep_copy(*args)  # type: ignore[arg-type]
        return func(*args, **(kwargs or {}))


def _deep_copy(tensor: Tensor, memo: dict[int, object]) -> Tensor:
    """A view of a copy of the whole storage, which views of it share, as in a run."""
    if id(tensor) in memo:
        return memo[id(tensor)]  # type: ignore[return-value]
    storage = tensor.untyped_storage()
    whole = memo.get(storage._cdata)
    if whole is None:
        whole = tensor.new_empty(storage.nbytes() // tensor.element_size())
        memo[storage._cdata] = whole
    assert isinstance(whole, Tensor)
    copied = whole.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
    memo[id(tensor)] = copied
    return copied


class _CardKernels(TorchFunctionMode):
    """While it is entered, scaled_dot_product_attention runs the kernel that a card would."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        attend: Callable[..., object] = _attend if func is scaled_dot_product_attention else func
        return attend(*args, **(kwargs or {}))


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: object,
) -> Tensor:
    """(batch, heads, queries, value_dim), by the kernel that torch chooses on a card: flash in half precision
    without a mask, else the memory-efficient one, which knows no grouped heads: those take the reference."""
    width = query.shape[-1]
    scale = options.get("scale") or 1 / math.sqrt(width)
    half = query.dtype in (torch.float16, torch.bfloat16)
    if attn_mask is None and half and width == value.shape[-1] and width <= FLASH_HEAD:
        padded = [
            pad(each, (0, -width % ALIGNED)) if width % ALIGNED else each for each in (query, key, value)
        ]
        flash = _aten._scaled_dot_product_flash_attention
        found: Tensor = flash(*padded, dropout_p, is_causal, scale=scale)[0]
        return found[..., :width]
    if options.get("enable_gqa"):
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with sdpa_kernel(SDPBackend.MATH):
            return scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, enable_gqa=True
            )
    bias = None if attn_mask is None else _bias(attn_mask, query, key.shape[2])
    efficient = _aten._scaled_dot_product_efficient_attention
    made: Tensor = efficient(query, key, value, bias, query.requires_grad, dropout_p, is_causal, scale=scale)[
        0
    ]
    return made


def _bias(mask: Tensor, query: Tensor, keys: int) -> Tensor:
    """(batch, heads, queries, keys): the mask as the memory-efficient kernel reads it."""
    if mask.dtype == torch.bool:
        barred = torch.scalar_tensor(-math.inf, dtype=query.dtype)
        mask = torch.where(mask, torch.scalar_tensor(0.0, dtype=query.dtype), barred)
    if keys % ALIGNED:
        mask = pad(mask, (0, -keys % ALIGNED))[..., :keys]
    return mask.expand(*query.shape[:3], keys)


def processor_bytes(func: OpOverload, args: Sequence[object], found: object) -> int:
    """What the processor holds of operands that it turns into another dtype first."""
    return turned_bytes(func, args, found) if isinstance(found, Tensor) else 0


def workspace_bytes(func: OpOverload, args: Sequence[object], _found: object) -> int:
    """What a card's attention takes while its backward pass runs: sums in fp32 of what it gives, and in the
    flash kernel those of each query head for heads that share keys (flash_api.cpp, attention_backward.cu)."""
    if func is _aten._scaled_dot_product_flash_attention_backward.default:
        query, key, value = (each for each in args[1:4] if isinstance(each, Tensor))
        batch, heads, rows, width = query.shape
        sums = batch * heads * 128 * -(-rows // 128) * (32 * -(-width // 32) + 1) * 4
        each_head = batch * heads * key.shape[2] * (key.shape[3] + value.shape[3]) * query.element_size()
        return sums + (each_head if heads != key.shape[1] else 0)
    if func is _aten._scaled_dot_product_efficient_attention_backward.default:
        return sum(each.numel() * 4 for each in args[1:4] if isinstance(each, Tensor))
    return 0
