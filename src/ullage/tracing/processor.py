"""What a processor's kernels hold inside one call, beside what they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch._ops import OpOverload

from ullage.runtime.live import turned_bytes

_aten = torch.ops.aten
_SUMS: Final = {
    _aten.sum.default,
    _aten.sum.dim_IntList,
    _aten.mean.default,
    _aten.mean.dim,
    _aten.prod.default,
    _aten.prod.dim_int,
}
"""Operations that turn all they read into the dtype of their result first."""
_SORTS: Final = {_aten.sort.default, _aten.sort.stable}
"""Operations that copy what they read."""
_QUERIES: Final = ((768, 256), (192, 64), (0, 32))
"""From how many queries on a block of attention has how many (FlashAttentionKernel.cpp)."""
_KEYS: Final = 512
"""Keys of a block of attention."""
_FLOAT: Final = 4


def processor_bytes(func: OpOverload, args: Sequence[object], found: object) -> int:
    """Bytes that `func` holds while it runs, on as many threads as torch has here."""
    if func is _aten._scaled_dot_product_flash_attention_for_cpu.default:
        query, key = args[:2]
        assert isinstance(query, Tensor)
        assert isinstance(key, Tensor)
        return attention_bytes(query, key, torch.get_num_threads())
    if func in _SORTS:
        ordered = args[0]
        assert isinstance(ordered, Tensor)
        return ordered.numel() * ordered.element_size()
    if not isinstance(found, Tensor):
        return 0
    if func in _SUMS:
        read = args[0]
        assert isinstance(read, Tensor)
        return read.numel() * found.element_size() if read.dtype != found.dtype else 0
    return turned_bytes(func, args, found)


def attention_bytes(query: Tensor, key: Tensor, threads: int) -> int:
    """Scores of one block with their maxima and sums, and a block of the result, in fp32 for each thread;
    half-precision weights of a block (cpu_flash_attention in FlashAttentionKernel.cpp of torch 2.13). What
    processors with AMX pack of keys and values is not in it."""
    queries = min(next(block for least, block in _QUERIES if query.shape[2] >= least), query.shape[2])
    keys = min(_KEYS, key.shape[2])
    each = (queries * keys + 2 * queries + queries * query.shape[3]) * _FLOAT
    if query.element_size() < _FLOAT:
        each += queries * keys * query.element_size()
    return threads * each
