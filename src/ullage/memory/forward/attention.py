"""Temporary bytes of one attention call, by kernel."""

from __future__ import annotations

from typing import Final, NamedTuple

from ullage.facts.architecture import Attention, LatentAttention
from ullage.facts.dtypes import DTYPES
from ullage.facts.flow import Flow
from ullage.memory.forward.cache import cached_heads
from ullage.memory.forward.tape import (
    BLOCK,
    BLOCKS,
    CACHED,
    NOTHING,
    ROWS,
    SCORES,
    Size,
    Tape,
)
from ullage.memory.forward.written import Lying, written_attention

FULL: Final = 4
MATH_BYTES: Final = 9
"""Bytes of a score at the fullest moment of `sdpa-math`: fp32 scores and their softmax, and the bool of rows
that are masked whole (_safe_softmax, ATen/native/transformers/attention.cpp of torch 2.11)."""
LOG_SUM_EXP_BYTES: Final = 4
QUADRATIC: Final = ("eager", "sdpa-math")
"""Kernels that hold scores of every query with every key."""


def resolve_kernel(asked: str, soft_capped: bool = False, written: bool = False) -> tuple[str, str]:
    """The attention kernel that runs, with the reason; `written`: its model has one of its own alone."""
    if written:
        return "eager", "its modeling file has no other"
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


def falls_back(mixer: Attention | LatentAttention, flow: Flow, processor: bool) -> bool:
    """Whether torch's `sdpa` takes its plain implementation: where keys have to be broadcast to more queries,
    and on a processor where keys and values differ in width."""
    if isinstance(mixer, LatentAttention):
        return processor and mixer.nope_dim + mixer.rope_dim != mixer.value_dim
    return flow.broadcasts and mixer.heads > cached_heads(mixer)


def plain_in_fp32(mixer: Attention, masked: bool, processor: bool) -> bool:
    """Whether `sdpa` takes its plain implementation for fp32: of a card's kernels flash knows no fp32, the
    memory-efficient one no grouped heads, which are expanded beside a mask alone (`use_gqa_in_sdpa`,
    integrations/sdpa_attention.py of transformers 5.19)."""
    return mixer.heads > mixer.kv_heads and not masked and not processor


def makes_scores(kernel: str, mixer: object, width: int, masked: bool, processor: bool) -> bool:
    """Whether such a layer's scores lie in memory: of kernels that make them, and of `sdpa` that takes its
    plain implementation for elements of `width` bytes."""
    if kernel == "sdpa" and width == FULL and isinstance(mixer, Attention):
        return plain_in_fp32(mixer, masked, processor)
    return kernel in QUADRATIC


class Call(NamedTuple):
    """One attention call by one kernel, `several` queries a sequence or one; `cached`: keys and values are a
    cache's."""

    kernel: str
    compute: str
    several: bool
    masked: bool
    cached: bool = True
    processor: bool = False


def attend(tape: Tape, call: Call, mixer: Attention, flow: Flow) -> tuple[Size, Size]:
    """Replays one call; (bytes of its result, bytes that stay with the layer), both held.

    flash: O(new), FlashAttention-2 (arXiv 2307.08691). sdpa: the memory-efficient kernel (arXiv
    2112.05682) or the processor's flash kernel; with a mask transformers expands grouped keys and values
    to all heads (integrations/sdpa_attention.py), and a bool mask is converted to the compute dtype. eager,
    sdpa-math: quadratic. blockwise: `capture.streaming`.
    """
    kernel, compute, several, masked, cached, processor = call
    width = DTYPES[compute]
    result = ROWS * (mixer.heads * mixer.value_dim * width)
    grouped = mixer.heads if mixer.heads > mixer.kv_heads else 0
    keys, values = (CACHED * (grouped * each * width) for each in (mixer.head_dim, mixer.value_dim))
    if flow.scores in ("biased", "disentangled"):
        from ullage.memory.forward.own_scores import own_scores

        return own_scores(tape, call, mixer), NOTHING
    if kernel == "blockwise":
        return _blockwise(tape, call, mixer, flow), NOTHING
    if kernel == "eager" and flow.scores != "library":
        return written_attention(tape, mixer, flow, Lying(width, masked or several, cached))
    if kernel == "sdpa" and makes_scores(kernel, mixer, width, masked, processor):
        kernel = "sdpa-math"
    if kernel in QUADRATIC:
        if flow.broadcasts:
            keys = values = NOTHING
        tape.hold(keys)
        tape.hold(values)
        if kernel == "sdpa-math":
            _math(tape, mixer, flow, width)
            kept = NOTHING
        else:
            biased = masked or (several and mixer.causal)
            fused = compute == "fp16" and not processor
            kept = _quadratic(tape, SCORES * mixer.heads, width, biased, flow, fused)
        tape.hold(result)
        tape.touch(result)
        tape.drop(keys, values)
        return result, kept

    if masked and kernel != "flash":
        mask = SCORES * width
        for size in (keys, values, mask):
            tape.hold(size)
        tape.hold(result)
        tape.drop(mask, keys, values)
    else:
        tape.hold(result)
    tape.touch(ROWS * (mixer.heads * LOG_SUM_EXP_BYTES))
    return result, NOTHING


def _math(tape: Tape, mixer: Attention, flow: Flow, width: int) -> None:
    """Queries, keys and values in fp32, scaled queries, scores; where they are broadcast a mask beside."""
    query = ROWS * (mixer.heads * mixer.head_dim * FULL)
    stored = CACHED * (mixer.heads * (mixer.head_dim + mixer.value_dim) * FULL)
    if flow.broadcasts:
        stored = CACHED * (mixer.kv_heads * (mixer.head_dim + mixer.value_dim) * FULL) + SCORES * width
    casts = query + stored if width < FULL else (SCORES * width if flow.broadcasts else NOTHING)
    tape.touch(casts + query + SCORES * (mixer.heads * MATH_BYTES) + ROWS * mixer.heads)


def _quadratic(tape: Tape, scores: Size, width: int, masked: bool, flow: Flow, fused: bool) -> Size:
    """Scores, scaled scores, masked scores, their fp32 softmax and its copy: two of them at a time; `fused`
    where a card's softmax of fp16 gives fp32 at once (host_softmax, aten/src/ATen/native/cuda/SoftMax.cu).

    Returns what an eager layer keeps: the probabilities, bound to a variable that is never read.
    """
    size = scores * width
    steps = 1 + (3 if flow.soft_capped else 0) + (1 if masked else 0)
    tape.hold(size)
    for _ in range(steps):
        tape.hold(size)
        tape.drop(size)
    if width == FULL or flow.softmax == "compute":
        tape.hold(size)
        tape.drop(size)
        return size
    tape.touch(scores * (FULL if fused else 2 * FULL))
    tape.touch(scores * FULL + size)
    return size


def _blockwise(tape: Tape, call: Call, mixer: Attention, flow: Flow) -> Size:
    """`capture.streaming.blockwise_attention`: a block of fp32 scores at a time, sums in fp32."""
    width = DTYPES[call.compute]
    elements = ROWS * (mixer.heads * mixer.value_dim)
    query = ROWS * (mixer.heads * mixer.head_dim * width)
    scores = BLOCKS * mixer.heads
    # Queries of one group are laid side by side, a copy unless they were joined anew already.
    copies = mixer.heads > mixer.kv_heads and not flow.joins_rotary
    regrouped = tape.hold(query if copies else NOTHING)
    total = tape.hold(elements * FULL)
    sums = tape.hold(ROWS * (2 * mixer.heads * FULL))
    raw = tape.hold(scores * width)
    if width < FULL:
        tape.hold(scores * FULL)
        tape.drop(raw)
    tape.touch(BLOCK * (mixer.heads // mixer.kv_heads * (2 if call.masked else 1)))
    if width < FULL:
        tape.hold(scores * width)
    tape.touch(elements * width)
    tape.drop(scores * FULL, scores * width if width < FULL else NOTHING)
    tape.drop(sums)
    result = tape.hold(elements * width)
    if width < FULL:
        tape.touch(elements * width)
    tape.drop(regrouped, total)
    return result
