"""Whether queries and keys before rotary embedding are those that made the scores.

A rotation keeps the length of what it turns and, at one position, the product of a query and a key; head
norms come before it. So a query as it left its projection, normed as its module norms it, has in every head
the length of the query that was multiplied, up to a factor of the position (scaled rope and tempered scores
have one, of the turned part and of the other).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ullage.capture.products import Products

if TYPE_CHECKING:
    from torch import Tensor


def turned_error(products: Products, tensor: Tensor, side: int) -> float:
    """How far `tensor` (batch, tokens, heads, width) is from the queries (side 0) or keys (1) multiplied."""
    own = tensor.transpose(1, 2)
    errors = [math.inf]
    for pair in products.scores:
        true = pair[side]
        if true.shape[1] % own.shape[1] or true.shape[2:] != own.shape[2:]:
            continue
        given = own.repeat_interleave(true.shape[1] // own.shape[1], dim=1)
        for parts in _parts(given.shape[-1]):
            errors.append(_length_error(given, true, parts))
    return min(errors)


def _parts(width: int) -> Iterator[tuple[slice, ...]]:
    """The whole, or a turned part and another: rotary shares that configs have."""
    yield (slice(None),)
    for share in (0.5, 0.25, 0.75, 1 / 3, 2 / 3, 0.125):
        if (width * share).is_integer():
            at = int(width * share)
            yield slice(0, at), slice(at, None)


def _length_error(given: Tensor, true: Tensor, parts: tuple[slice, ...]) -> float:
    """Lengths of each part, with one factor a position; a share of the largest length."""
    error = 0.0
    for part in parts:
        own, wanted = given[..., part].norm(dim=-1), true[..., part].norm(dim=-1)
        factor = (own * wanted).sum((0, 1)) / own.square().sum((0, 1)).clamp(min=1e-30)
        far = (own * factor - wanted).abs().max() / wanted.max().clamp(min=1e-30)
        error = max(error, float(far))
    return error if math.isfinite(error) else math.inf
