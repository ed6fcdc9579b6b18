"""The cache of one sequence that others begin like, as the turns of a talk do: it is gone on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ullage.engines.prefix import SHORTEST_PREFIX, forgets
from ullage.runtime.rope import length_rule

if TYPE_CHECKING:
    from transformers import Cache

    from ullage.engines.row import Row
    from ullage.runtime.layout import Layout


class KeptCache:
    """What has been read of the last sequence, for the next one.

    Invariant: between passes every layer of the cache holds the first `_count` tokens of the sequence; after
    a pass that was broken off some hold more of it, which is cut off or, where that cannot be, not gone on
    from.
    """

    def __init__(self) -> None:
        self._row: Row | None = None
        self._cache: Cache | None = None
        self._count = 0
        self._broken = False

    def begin(self, row: Row) -> tuple[Cache | None, int]:
        """A cache for reading `row`, and how many tokens of its prompt that holds, at least one less than
        all; what else was held is gone."""
        held = () if self._row is None else self._row.whole[: self._count]
        cache, count = self._cache, _common(held, row.prompt)
        broken = self._broken
        self.forget()
        longer = broken or count < len(held)
        if cache is None or count < SHORTEST_PREFIX or (longer and not _cut(cache, count, broken)):
            cache, count = None, 0
        self._row, self._cache, self._count = row, cache, count
        return cache, count

    def begin_pass(self) -> None:
        """From here on layers differ in what they have read, until `end_pass`."""
        self._broken = True

    def end_pass(self, cache: Cache, count: int) -> None:
        """Every layer has read the sequence's first `count` tokens."""
        self._cache, self._count, self._broken = cache, count, False

    def forget(self) -> None:
        """Nothing is held any more."""
        self._row, self._cache, self._count, self._broken = None, None, 0, False


def keeps(layout: Layout) -> bool:
    """Whether a model goes on from a cache as if it had read all of a text at once: not one that forgets it,
    nor one whose rotary frequencies depend on how long the text is."""
    return not forgets(layout.base) and length_rule(layout.config) is None


def _common(held: tuple[int, ...], prompt: tuple[int, ...]) -> int:
    most = min(len(held), len(prompt) - 1)
    return next((at for at in range(most) if held[at] != prompt[at]), most)


def _cut(cache: Cache, count: int, broken: bool) -> bool:
    """Cuts each layer down to its first `count` tokens, whose memory alone stays; False, and nothing is cut,
    where a layer no longer has them or keeps a state of all that it read."""
    import torch
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    if type(cache) is not DynamicCache:
        return False  # a family's own, which may hold more than its layers
    for layer in cache.layers:
        whole = type(layer) is DynamicLayer
        unslid = type(layer) is DynamicSlidingWindowLayer and layer.get_seq_length() < layer.sliding_window
        if not (whole or (unslid and not broken)):
            return False
    with torch.inference_mode():
        for layer in cache.layers:
            assert isinstance(layer, DynamicLayer)
            assert layer.keys is not None
            assert layer.values is not None
            layer.keys = layer.keys[..., :count, :].clone()
            layer.values = layer.values[..., :count, :].clone()
            if isinstance(layer, DynamicSlidingWindowLayer):
                layer.cumulative_length = count
    return True
