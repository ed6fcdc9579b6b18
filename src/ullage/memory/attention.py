"""Temporary bytes of one attention call beside its inputs, by kernel.

`batch` sequences of `new` query positions attend over `keys` positions with `heads` heads.
"""

from __future__ import annotations

from typing import Final

SCORE_BYTES: Final = {
    ("eager", "bf16"): 10,
    ("eager", "fp16"): 8,
    ("eager", "fp32"): 12,
    ("sdpa-math", "bf16"): 8,
    ("sdpa-math", "fp16"): 8,
    ("sdpa-math", "fp32"): 8,
}
"""Peak bytes per score element. bf16 and fp16 measured on a CPU with torch 2.13 and transformers
5.23: eager holds the 16-bit scores, their fp32 softmax and its 16-bit copy; the math kernel upcasts
and holds two fp32 score tensors."""
MASK_BYTES: Final = 2
"""A mask handed to scaled_dot_product_attention is bool, then converted to the compute dtype."""
LOG_SUM_EXP_BYTES: Final = 4


def resolve_kernel(asked: str) -> tuple[str, str]:
    """The attention kernel that runs, with the reason."""
    if asked == "auto":
        return "sdpa", "transformers' default implementation"
    return asked, "as the file says"


def kernel_bytes(
    kernel: str,
    compute: str,
    batch: int,
    new: int,
    keys: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    masked: bool,
) -> int:
    """Peak temporaries of `kernel`: scores, masks, expanded keys and values, log-sum-exp.

    flash: O(new), FlashAttention-2 (arXiv 2307.08691). sdpa: the memory-efficient kernel
    (arXiv 2112.05682) on a GPU; with a mask transformers expands grouped keys and values to all
    heads in prefill (integrations/sdpa_attention.py). eager and sdpa-math: quadratic.
    """
    scores = batch * heads * new * keys
    width = 4 if compute == "fp32" else 2
    if kernel in ("eager", "sdpa-math"):
        mask = batch * new * keys * width
        expanded = 2 * batch * heads * keys * head_dim * width if heads > kv_heads else 0
        return scores * SCORE_BYTES[kernel, compute] + mask + expanded
    log_sum_exp = batch * heads * new * LOG_SUM_EXP_BYTES
    if kernel == "flash" or not masked:
        return log_sum_exp
    mask = batch * new * keys * (1 + MASK_BYTES)
    grouped = heads > kv_heads and new > 1
    expanded = 2 * batch * heads * keys * head_dim * width if grouped else 0
    return log_sum_exp + mask + expanded
