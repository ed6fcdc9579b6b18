"""The next token of each row of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ullage.engines.engine import Sampling
from ullage.engines.forms import together
from ullage.engines.row import Row
from ullage.memory.forward.logits import SLICE_LOGITS

if TYPE_CHECKING:
    from torch import Tensor


def summed(logprobs: Sequence[float], forms: Sequence[Sequence[object]]) -> tuple[float, ...]:
    """Each choice's log-probability: of its forms, whose own stand one after the other, any one is it."""
    found, at = [], 0
    for some in forms:
        found.append(together(logprobs[at : at + len(some)]))
        at += len(some)
    return tuple(found)


def choose(logits: Tensor, rows: Sequence[Row], sampling: Sampling) -> list[int]:
    """The next token of each row, of logits (rows, vocabulary).

    Its log-probability and the entropy go to rows still being written, and the likeliest ones where a row
    is to tell them.
    """
    import torch

    chosen: list[int] = []
    size = max(1, SLICE_LOGITS // logits.shape[-1])
    for begin in range(0, len(rows), size):
        logprobs = logits[begin : begin + size].float().log_softmax(-1)
        entropies = torch.special.entr(logprobs.exp()).sum(-1).tolist()
        some = rows[begin : begin + size]
        tokens = logprobs.argmax(-1) if sampling.temperature == 0 else _drawn(logprobs, some, sampling)
        weights = logprobs.gather(-1, tokens[:, None])[:, 0].tolist()
        others = _likeliest(logprobs, max(row.likeliest for row in some))
        for row, weight, entropy, likely in zip(some, weights, entropies, others, strict=True):
            row.weigh(weight, entropy, likely)
        chosen += tokens.tolist()
    return chosen


def _likeliest(logprobs: Tensor, count: int) -> list[list[tuple[int, float]]]:
    """Of each row so many tokens and their logarithms, the greatest first."""
    if not count:
        return [[] for _ in logprobs]
    found = logprobs.topk(min(count, logprobs.shape[-1]))
    return [
        [*zip(ids, weights, strict=True)]
        for ids, weights in zip(found.indices.tolist(), found.values.tolist(), strict=True)
    ]


def _drawn(logprobs: Tensor, rows: Sequence[Row], sampling: Sampling) -> Tensor:
    """One token a row by inverting the cumulative distribution at the row's own random number."""
    import torch

    below = logprobs.double() - logprobs.double().max(-1, keepdim=True).values
    weights = (below / sampling.temperature).softmax(-1)  # however low it is, the likeliest stays at 0
    if sampling.top_p < 1:
        ordered, places = weights.sort(-1, descending=True)
        ordered[ordered.cumsum(-1) - ordered >= sampling.top_p] = 0
        weights = torch.zeros_like(weights).scatter_(-1, places, ordered)
    reached = weights.cumsum(-1)
    numbers = [torch.rand((), generator=row.chance, dtype=torch.float64).item() for row in rows]
    aimed = torch.tensor(numbers, device=weights.device, dtype=torch.float64)[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, aimed, right=True)[:, 0].clamp(max=weights.shape[-1] - 1)
