"""Bytes of the output distribution over the vocabulary."""

from __future__ import annotations

from typing import Final

from ullage.units import Interval

SLICE_LOGITS: Final = 2**22
"""Logits that a run turns into probabilities at once: 16 MiB in fp32, whatever batch and vocabulary are."""
CHOSEN_BYTES: Final = (8, 12, 64)
"""Bytes per logit of a slice, beside the logits in the compute dtype, while a token is chosen
(`engines.choosing.choose`): the fp32 copy and its log-softmax at least (4 + 4); the log-softmax, its exp and
their entropies for the likeliest token (4 + 4 + 4); where tokens are drawn up to the log-softmax and in fp64
the weights, their order, its places, sums and differences (4 + 5 x 8), with what a sort holds beside (16)."""
FLOAT_COPY = 4


def sampled_logits(batch: int, vocabulary: int, element_bytes: int) -> Interval:
    """One position per sequence (`logits_to_keep=1`) with what choosing a token makes of some at once."""
    entries = batch * vocabulary
    some = sliced(batch, vocabulary) * vocabulary
    low, expected, high = (entries * element_bytes + some * each for each in CHOSEN_BYTES)
    return Interval(low, expected, high)


def sliced(batch: int, vocabulary: int) -> int:
    """Rows of a batch whose logits are turned into probabilities at once."""
    return min(batch, max(1, SLICE_LOGITS // vocabulary))


def all_logits(rows: int, vocabulary: int, element_bytes: int) -> Interval:
    """Every position kept: the logits, their fp32 copy, and its log-softmax at most."""
    entries = rows * vocabulary
    return Interval(
        entries * element_bytes,
        entries * (element_bytes + FLOAT_COPY),
        entries * (element_bytes + 2 * FLOAT_COPY),
    )
