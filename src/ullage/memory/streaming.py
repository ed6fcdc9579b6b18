"""Attention of a chunk over blocks of keys: how large a block is, and what it holds."""

from __future__ import annotations

from typing import Final

SCORES: Final = 4 * 2**20
"""Attention scores alive at once, in elements: 16 MiB in fp32, whatever the sequence's length."""
SMALLEST_BLOCK: Final = 64


def block_keys(batch: int, heads: int, new: int) -> int:
    """Keys of one block, so that batch x heads x new x keys scores stay within `SCORES`."""
    return max(SCORES // max(batch * heads * new, 1), SMALLEST_BLOCK)
