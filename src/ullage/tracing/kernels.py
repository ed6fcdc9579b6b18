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
from torch.nn.functional import pad, scaled_dot_product_attention, softmax
from torch.overrides import TorchFunctionMode

from ullage.errors import UnsupportedError
from ullage.memory.traced import Asked
from ullage.tracing.storages import Storages

FLASH_HEAD: Final = 256
"""Widest heads of the flash kernel."""
EFFICIENT_HEAD: Final = 128
"""Widest heads whose results the memory-efficient kernel keeps in registers."""
THREAD_BLOCKS: Final = 2 * 132
"""Blocks of threads that run side by side on an H100 or H200; fewer on smaller cards, which split less."""
_FLOAT: Final = 4
ALIGNED: Final = 8
"""Elements that a row of a mask, and a head of the flash kernel, is padded to."""
_aten = torch.ops.aten


@contextmanager
def as_on(asked: Asked, storages: Storages) -> Iterator[None]:
    """Models run as on the device that is asked for.

    Raises UnsupportedError for a kernel that is another package's, and for a release of transformers that
    builds its masks otherwise.
    """
    if asked.kernel == "flash":
        raise UnsupportedError(
            f"{asked.model}: attention: flash: is another package's kernel, which a backward pass is not "
            "traced through; use attention: sdpa"
        )
    with _as_untraced(), _AsReal(storages), nullcontext() if asked.processor else _CardKernels():
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


class _AsReal(TorchFunctionMode):
    """While it is entered, a deep copy of a fake tensor is another fake, where torch would copy its bytes,
    and attention by torch's reference takes what it takes of plain tensors."""

    def __init__(self, storages: Storages) -> None:
        super().__init__()
        self._storages = storages

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if func is Tensor.__deepcopy__ and isinstance(args[0], FakeTensor):
            return _deep_copy(*args)  # type: ignore[arg-type]
        if func is not scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        self._storages.attends = True
        attend: Callable[..., object] = func
        try:
            return attend(*args, **(kwargs or {}))
        finally:
            self._storages.attends = False


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
        instead = _INSTEAD.get(func, func)
        return instead(*args, **(kwargs or {}))


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


def _softmax(read: Tensor, dim: int | None = None, *more: object, **options: object) -> Tensor:
    """The softmax of fp16 in fp32 is one kernel on a card; of bf16 it is not, as on a processor (softmax in
    aten/src/ATen/native/SoftMax.cpp)."""
    dtype = options.get("dtype", more[-1] if more else None)
    if read.dtype == torch.float16 and dtype == torch.float32 and not read.requires_grad:
        assert dim is not None
        found: Tensor = _aten._softmax(read, dim, True)
        return found
    assert isinstance(dtype, torch.dtype | None)
    return torch.softmax(read, -1 if dim is None else dim, dtype)


_INSTEAD: Final[dict[Callable[..., object], Callable[..., object]]] = {
    scaled_dot_product_attention: _attend,
    softmax: _softmax,
    torch.softmax: _softmax,
    Tensor.softmax: _softmax,
}
"""What stands for functions that a card computes otherwise than a processor."""


def workspace_bytes(func: OpOverload, args: Sequence[object], found: object) -> int:
    """What a card's attention takes while it runs. Forward: sums in fp32 of parts of the keys in the flash
    kernel (flash_api.cpp), of what it gives in the memory-efficient one (attention.cu). Backward: sums in
    fp32 of what it gives, and in the flash kernel those of each query head for heads that share keys
    (flash_api.cpp, attention_backward.cu)."""
    if func is _aten._scaled_dot_product_flash_attention.default:
        query, key = (each for each in args[:2] if isinstance(each, Tensor))
        return split_bytes(query, key)
    if func is _aten._scaled_dot_product_efficient_attention.default:
        assert isinstance(found, tuple)
        wide = found[0].shape[-1] > EFFICIENT_HEAD and found[0].element_size() < _FLOAT
        return found[0].numel() * _FLOAT if wide else 0
    if func is _aten._scaled_dot_product_flash_attention_backward.default:
        query, key, value = (each for each in args[1:4] if isinstance(each, Tensor))
        batch, heads, rows, width = query.shape
        sums = batch * heads * 128 * -(-rows // 128) * (32 * -(-width // 32) + 1) * _FLOAT
        each_head = batch * heads * key.shape[2] * (key.shape[3] + value.shape[3]) * query.element_size()
        return sums + (each_head if heads != key.shape[1] else 0)
    if func is _aten._scaled_dot_product_efficient_attention_backward.default:
        return sum(each.numel() * _FLOAT for each in args[1:4] if isinstance(each, Tensor))
    return 0


def split_bytes(query: Tensor, key: Tensor) -> int:
    """What the flash kernel keeps of parts of the keys that it reads side by side where queries are few:
    results and their sums in fp32 (set_params_splitkv of flash_api.cpp)."""
    batch, heads, rows, width = query.shape
    shared = heads // key.shape[1] if rows == 1 else 1  # heads that share keys stand as rows
    block = 256 if width <= 64 else (128 if width <= 128 else 64)
    blocks = batch * (heads // shared) * -(-rows * shared // 64)
    splits = _splits(blocks, -(-key.shape[2] // block))
    if splits == 1:
        return 0
    return splits * batch * heads * rows * (1 + 32 * -(-width // 32)) * _FLOAT


def _splits(blocks: int, key_blocks: int) -> int:
    """Into how many parts keys are split: the fewest that keep the processors nearly as busy as any number
    does (num_splits_heuristic)."""
    if blocks >= 0.8 * THREAD_BLOCKS:
        return 1
    most = min(128, THREAD_BLOCKS, key_blocks)
    parts = [-(-key_blocks // count) for count in range(1, most + 1)]
    able = [count for count in range(1, most + 1) if count == 1 or parts[count - 1] != parts[count - 2]]
    waves = {count: blocks * count / THREAD_BLOCKS for count in able}
    busy = {count: each / math.ceil(each) for count, each in waves.items()}
    return min(count for count in able if busy[count] >= 0.85 * max(busy.values()))
