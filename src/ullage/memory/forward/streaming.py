"""Attention of a chunk over blocks of keys: how large a block is, and what it holds."""

from __future__ import annotations

from typing import Final

LARGEST_SCORES: Final = 8 * 2**20
"""Attention scores alive at once, in elements: 32 MiB in fp32."""
USUAL_BLOCK: Final = 512
SMALLEST_BLOCK: Final = 64


def block_keys(batch: int, heads: int, new: int) -> int:
    """Keys of one block: as many as the chunk has tokens, at least 512, and no more than keep
    batch x heads x new x keys within `LARGEST_SCORES`. It does not depend on the sequence's length."""
    room = LARGEST_SCORES // max(batch * heads * new, 1)
    return max(min(max(new, USUAL_BLOCK), room), SMALLEST_BLOCK)
