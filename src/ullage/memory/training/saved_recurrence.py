"""What autograd keeps of a recurrent mixer, in transformers' own code (5.19), where no kernel runs."""

from __future__ import annotations

from ullage.facts.architecture import Layer, Recurrent
from ullage.memory.forward.one_pass import FULL, Pass, amounts_of


def saved_by_recurrence(layer: Layer, mixer: Recurrent, work: Pass, width: int) -> int:
    """Projections, convolved and gated streams, and what the scan keeps of all positions, mostly in fp32.

    Counts of tensors were read off saved tensors of small models, kind by kind (tests/memory).
    """
    amounts = amounts_of(layer, work)
    rows, inner = amounts.rows, mixer.inner
    streams = rows * (mixer.projected + 3 * inner) * width
    wide, keys = amounts.cached * inner, amounts.cached * mixer.value_heads * mixer.state
    scores, states = amounts.scores * mixer.value_heads, amounts.block * mixer.state_elements
    if mixer.kind == "mamba1":
        # A, B and inputs made discrete, and each position's state, with its copy in the compute dtype.
        each = 3 * FULL + (width if width < FULL else 0)
        ranks = rows * (mixer.rank + 2 * mixer.state) * (width + FULL)
        return streams + rows * inner * (mixer.state * each + 3 * FULL) + ranks
    if mixer.kind == "mamba2":
        streams = rows * (mixer.projected + 2 * mixer.channels) * width
        whole = (9 * wide + 5 * keys + 2 * states + 7 * amounts.cached * mixer.value_heads) * FULL
        return streams + whole + scores * (3 * FULL + 1)
    if mixer.kind in ("gated_delta", "channel_delta"):
        streams = rows * 2 * (mixer.projected + mixer.channels) * width
        pairs = scores * mixer.state if mixer.kind == "channel_delta" else 0
        return streams + (8 * wide + 9 * keys + 5 * scores + states + 4 * pairs) * FULL + scores + pairs
    if mixer.kind == "gated_unit":
        return streams + rows * inner * 7 * FULL
    if mixer.kind == "lightning":
        return streams + (2 * scores + mixer.value_heads * mixer.chunk**2) * width
    return streams
