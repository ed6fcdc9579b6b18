"""What the prompts of one batch after another begin with: read once, and kept in the cache."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, cast

from ullage.capture.coverage import Coverage, Part
from ullage.engines.observer import Observer, observed
from ullage.errors import UnsupportedError
from ullage.runtime.rope import length_rule

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import Cache
    from transformers.utils.generic import ModelOutput

    from ullage.runtime.layout import Layout

SHORTEST_PREFIX: Final = 8
"""Tokens all prompts of a batch must begin with before they are kept in the cache."""
LEAST_SAVED: Final = 256
"""Tokens that need not be read again for which what a batch begins with gets a pass of its own."""


class SharedPrefix:
    """The beginning that was read last. Invariant: the cache holds exactly its tokens, in one row."""

    def __init__(
        self,
        base: nn.Module,
        device: torch.device | str,
        chunk_tokens: int | None = None,
        during: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`base` is the decoder without its head; a prefix is read inside `during`, in chunks."""
        self._base, self._device, self._chunk_tokens, self._during = base, device, chunk_tokens, during
        self._tokens: tuple[int, ...] = ()
        self._cache: Cache | None = None
        self._forgets = forgets(base)

    def of(self, ids: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        """What all prompts of a batch begin with, whatever was read before: where a prefix ends changes the
        rounding of scores, and a run that is taken up in the middle is to give the same bytes. Nothing of a
        model that forgets it."""
        return () if self._forgets else _shared(ids)

    def cache(self, shared: tuple[int, ...], batch: int, observer: Observer | None = None) -> Cache | None:
        """A cache of `batch` rows that hold the shared prefix; None where nothing is shared."""
        import torch

        if not shared:
            return None
        if self._tokens != shared:
            self._tokens, self._cache = (), None
            with self._during():
                self._read(shared, batch, observer)
            self._tokens = shared
        cache = copy.deepcopy(self._cache)
        assert cache is not None
        rows = torch.zeros(batch, dtype=torch.long, device=self._device)
        cache.reorder_cache(cast("torch.LongTensor", rows))  # of recurrences too, which repeat no batch
        return cache

    def _read(self, shared: tuple[int, ...], sequences: int, observer: Observer | None) -> None:
        self._cache = _read(self._base, self._device, self._chunk_tokens, shared, sequences, observer)


class Beginning:
    """Reads once, for each batch that is to be written, what all of its prompts begin with.

    Rows go on from there with padding between what they share and what is theirs, which attention over all
    that came before does not see. Invariant: a model that would see it is given no beginning.
    """

    def __init__(self, layout: Layout, device: torch.device | str, chunk_tokens: int | None = None) -> None:
        self._base, self._device, self._chunk_tokens = layout.base, device, chunk_tokens
        self._able = not forgets(layout.base) and length_rule(layout.config) is None

    def of(
        self, prompts: Sequence[tuple[int, ...]], observer: Observer | None = None
    ) -> tuple[int, Cache | None]:
        """How many tokens are read for all rows, and a cache of so many rows that hold them; none where that
        saves little."""
        import torch

        if not self._able or (observer is not None and observer.side_by_side):
            return 0, None
        shared = _shared(prompts)
        if len(shared) * (len(prompts) - 1) < LEAST_SAVED:
            return 0, None
        cache = _read(self._base, self._device, self._chunk_tokens, shared, len(prompts), observer)
        if not _sees_all(cache):
            self._able = False
            return 0, None
        rows = torch.zeros(len(prompts), dtype=torch.long, device=self._device)
        cache.reorder_cache(cast("torch.LongTensor", rows))
        return len(shared), cache


def _read(
    base: nn.Module,
    device: torch.device | str,
    chunk_tokens: int | None,
    shared: tuple[int, ...],
    sequences: int,
    observer: Observer | None,
) -> Cache:
    """A cache of one row that holds the tokens, which are told as those of so many sequences."""
    import torch

    ids = torch.tensor([shared], device=device)
    size = chunk_tokens or len(shared)
    cache: Cache | None = None
    for begin in range(0, len(shared), size):
        end = min(begin + size, len(shared))
        parts = tuple(Part(0, 0, sequence, begin, end) for sequence in range(sequences))
        with observed(observer, Coverage(1, parts)):
            out = base(input_ids=ids[:, begin:end], past_key_values=cache, use_cache=True)
        cache = cache_of(base, out)
        del out
    assert cache is not None
    return cache


def cache_of(model: nn.Module, out: ModelOutput) -> Cache:
    """What is passed on to the next pass. Raises UnsupportedError for a model that gives it otherwise."""
    cache: Cache | None = getattr(out, "past_key_values", None)
    if cache is None:
        raise UnsupportedError(
            f"{type(model).__name__}: is read here and not written: it gives no past_key_values "
            "that a next pass could go on from; use engine: vllm, or a model of another family"
        )
    return cache


def _sees_all(cache: Cache) -> bool:
    """Whether every layer keeps all keys and values: recurrences, and windows that count columns, take
    padding for tokens."""
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in getattr(cache, "layers", [None]))


def forgets(base: nn.Module) -> bool:
    """Whether several tokens after others are read as if there were no others: Mamba's scan begins at zero in
    every such pass (`mamba_selective_scan` of transformers 5.19), and its decays are a row a channel."""
    named = base.named_parameters()
    return any(name.rpartition(".")[2] == "A_log" and each.ndim == 2 for name, each in named)


def _shared(ids: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """What all prompts begin with, at least one token short of each."""
    low, high = min(ids), max(ids)
    count = 0
    for one, other in zip(low, high, strict=False):
        if one != other:
            break
        count += 1
    count = min(count, min(map(len, ids)) - 1)
    return low[:count] if count >= SHORTEST_PREFIX else ()
