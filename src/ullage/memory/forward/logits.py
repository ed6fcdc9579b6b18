"""Bytes of the output distribution over the vocabulary."""

from __future__ import annotations

from ullage.units import Interval

SAMPLED_BYTES = (6, 22, 30)
"""Bytes per vocabulary entry and sequence while `generate` picks a token, beside the logits in the
compute dtype: an fp32 copy (4) and its processed twin at least; top-p sampling adds sorted values
(4), int64 order (8) and probabilities (4). Counted from transformers 5.19 generation/utils.py and
logits_process.py."""
FLOAT_COPY = 4


def sampled_logits(batch: int, vocabulary: int, element_bytes: int) -> Interval:
    """One position per sequence (`logits_to_keep=1`) with what sampling makes of it."""
    entries = batch * vocabulary
    low, expected, high = SAMPLED_BYTES
    return Interval(
        entries * (element_bytes + low),
        entries * (element_bytes + expected),
        entries * (element_bytes + high),
    )


def all_logits(rows: int, vocabulary: int, element_bytes: int) -> Interval:
    """Every position kept: the logits, their fp32 copy, and its log-softmax at most."""
    entries = rows * vocabulary
    return Interval(
        entries * element_bytes,
        entries * (element_bytes + FLOAT_COPY),
        entries * (element_bytes + 2 * FLOAT_COPY),
    )
