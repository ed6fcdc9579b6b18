"""Temporary bytes of one attention call, by kernel.

`batch` sequences of `new` query positions attend over `keys` positions.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ullage.facts.architecture import Attention, Flow
from ullage.facts.dtypes import DTYPES
from ullage.memory.forward.streaming import block_keys
from ullage.memory.forward.tape import Tape

FULL: Final = 4
MATH_BYTES: Final = 10
"""Bytes of a score at the fullest moment of `sdpa-math`: fp32 scores and their softmax, and the bool of rows
that are masked whole, twice (_safe_softmax, ATen/native/transformers/attention.cpp of torch 2.11)."""
LOG_SUM_EXP_BYTES: Final = 4
QUADRATIC: Final = ("eager", "sdpa-math")
"""Kernels that hold scores of every query with every key."""


def resolve_kernel(asked: str, soft_capped: bool = False) -> tuple[str, str]:
    """The attention kernel that runs, with the reason."""
    if asked == "auto" and soft_capped:
        return "eager", "no other kernel caps attention scores"
    if asked == "auto":
        return "sdpa", "transformers' default implementation"
    return asked, "as the file says"


def mask_bytes(kernel: str, batch: int, new: int, keys: int, padded: bool, width: int) -> int:
    """A mask as the model's forward builds it: bool, one for all sequences that need the same; for eager
    attention one each, of the compute dtype (`width` bytes an element)."""
    if kernel == "eager":
        return batch * new * keys * width
    return (batch if padded else 1) * new * keys


class Call(NamedTuple):
    """One attention call: `batch` sequences of `new` queries over `keys` positions, by one kernel."""

    kernel: str
    compute: str
    batch: int
    new: int
    keys: int
    masked: bool


def attend(tape: Tape, call: Call, mixer: Attention, flow: Flow) -> tuple[int, int]:
    """Replays one call; (bytes of its result, bytes that stay with the layer), both held.

    flash: O(new), FlashAttention-2 (arXiv 2307.08691). sdpa: the memory-efficient kernel (arXiv
    2112.05682) or the processor's flash kernel; with a mask transformers expands grouped keys and values
    to all heads (integrations/sdpa_attention.py), and a bool mask is converted to the compute dtype. eager,
    sdpa-math: quadratic. blockwise: `capture.streaming`.
    """
    kernel, compute, batch, new, keys, masked = call
    width = DTYPES[compute]
    result = batch * new * mixer.heads * mixer.value_dim * width
    scores = batch * mixer.heads * new * keys
    grouped = mixer.heads > mixer.kv_heads
    expanded = batch * mixer.heads * keys * (mixer.head_dim + mixer.value_dim) * width if grouped else 0
    if kernel == "blockwise":
        return _blockwise(tape, call, mixer, flow), 0
    if kernel in QUADRATIC:
        tape.hold(expanded)
        kept = _quadratic(tape, kernel, scores, width, masked or new > 1, flow.soft_capped)
        tape.hold(result)
        tape.touch(result)
        tape.drop(expanded)
        return result, kept
    tape.hold(result)
    tape.hold(batch * mixer.heads * new * LOG_SUM_EXP_BYTES)
    tape.drop(batch * mixer.heads * new * LOG_SUM_EXP_BYTES)
    if masked and kernel != "flash":
        converted = batch * new * keys * width
        tape.touch(converted + expanded)
    return result, 0


def _quadratic(tape: Tape, kernel: str, scores: int, width: int, masked: bool, soft_capped: bool) -> int:
    """Scores, scaled scores, masked scores, their fp32 softmax and its copy: two of them at a time.

    Returns what an eager layer keeps: the probabilities, bound to a variable that is never read.
    """
    size = scores * width
    if kernel == "sdpa-math":
        tape.touch(scores * MATH_BYTES)
        return 0
    steps = 1 + (3 if soft_capped else 0) + (1 if masked else 0)
    tape.hold(size)
    for _ in range(steps):
        tape.hold(size)
        tape.drop(size)
    if width == FULL:
        tape.hold(size)
        tape.drop(size)
        return size
    tape.touch(2 * scores * FULL)
    tape.touch(scores * FULL + size)
    return size


def _blockwise(tape: Tape, call: Call, mixer: Attention, flow: Flow) -> int:
    """`capture.streaming.blockwise_attention`: a block of fp32 scores at a time, sums in fp32."""
    _, compute, batch, new, keys, masked = call
    width = DTYPES[compute]
    elements = batch * new * mixer.heads * mixer.value_dim
    query = batch * new * mixer.heads * mixer.head_dim * width
    block = min(block_keys(batch, mixer.heads, new), keys)
    scores = batch * mixer.heads * new * block
    # Queries of one group are laid side by side, a copy unless they were joined anew already.
    regrouped = tape.hold(query if mixer.heads > mixer.kv_heads and not flow.joins_rotary else 0)
    total = tape.hold(elements * FULL)
    sums = tape.hold(2 * batch * mixer.heads * new * FULL)
    raw = tape.hold(scores * width)
    if width < FULL:
        tape.hold(scores * FULL)
        tape.drop(raw)
    rows = new * mixer.heads // mixer.kv_heads
    tape.touch(rows * block * (2 if masked else 1))
    if width < FULL:
        tape.hold(scores * width)
    tape.touch(elements * width)
    tape.drop(scores * FULL + (scores * width if width < FULL else 0))
    tape.drop(sums)
    result = tape.hold(elements * width)
    if width < FULL:
        tape.touch(elements * width)
    tape.drop(regrouped + total)
    return result
