"""Replays multi-head latent attention (DeepSeek-V2, arXiv 2405.04434), with the indexer of V3.2."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Attention, LatentAttention
from ullage.facts.flow import Flow
from ullage.memory.forward.attention import Call, attend
from ullage.memory.forward.one_pass import FULL, Manner, Widths
from ullage.memory.forward.tape import CACHED, NOTHING, ROWS, SCORES, Size, Tape
from ullage.memory.weights.precision import ResolvedPrecision

CHOSEN: Final = 4
"""Bytes of the number of a position that an indexer chose."""


def _choose(tape: Tape, mixer: LatentAttention, width: int) -> Size:
    """An indexer's queries and keys, its fp32 scores of all heads, and the mask of what it chose; the bytes
    that stay. Its product copies the keys of a sequence once for each query."""
    heads, wide = mixer.indexer_heads, mixer.indexer_dim
    query, key = ROWS * (heads * wide * width), ROWS * (wide * width)
    turned = ROWS * ((heads + 1) * mixer.rope_dim * width)
    kept = tape.hold(ROWS * (mixer.q_rank * width + 2 * mixer.chosen * CHOSEN))
    inside = tape.hold(query * 2 + key + turned)
    copies = (ROWS * heads + CACHED) * (wide * FULL) if width < FULL else NOTHING
    tape.touch(copies + SCORES * ((wide + heads) * FULL))
    tape.touch(SCORES * (2 * heads * FULL))
    tape.drop(inside)
    return kept + tape.hold(SCORES * 2)


def latent(
    tape: Tape,
    mixer: LatentAttention,
    flow: Flow,
    s: Widths,
    manner: Manner,
    precision: ResolvedPrecision,
) -> Size:
    """Queries, the compressed latent, their rotary parts, queries joined anew; then all positions' latents
    lifted to keys and values, keys joined anew, and the kernel."""
    heads, width = mixer.heads, s.width
    head = mixer.nope_dim + mixer.rope_dim
    query = tape.hold(ROWS * (heads * head * width))
    latent = ROWS * ((mixer.kv_rank + mixer.rope_dim) * width)
    held = query + tape.hold(latent * (1 if manner.caches else 2))
    if width < FULL:
        tape.touch(latent * (2 * FULL // width))
    turned = tape.hold(ROWS * (heads * mixer.rope_dim * width))
    tape.touch(turned * 2)
    held += turned + tape.hold(query)
    held += tape.hold(CACHED * (heads * (mixer.nope_dim + mixer.value_dim) * width))
    held += tape.hold(CACHED * (heads * head * width))
    if mixer.indexer_dim:
        held += _choose(tape, mixer, width)
    shape = Attention("full", heads, heads, head, mixer.value_dim)
    masked = manner.masked or mixer.indexer_dim > 0
    call = Call(manner.kernel, precision.compute, manner.several, masked, manner.caches, manner.processor)
    result, probabilities = attend(tape, call, shape, flow)
    tape.hold(s.stream)
    tape.drop(held + result)
    return probabilities
