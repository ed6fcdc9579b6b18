"""How probable given continuations are, and what a model makes of a text as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from ullage.capture.coverage import right_padded
from ullage.capture.logits import logits_of
from ullage.capture.reader import padded
from ullage.engines.branching import Tree, read_trees, tree_of
from ullage.engines.observer import Observer, observed
from ullage.engines.prefix import SharedPrefix
from ullage.memory.forward.logits import SLICE_LOGITS
from ullage.runtime.layout import Layout

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import Cache

Tokens = tuple[int, ...]
Place = tuple[int, int]
"""A row, and a column in it."""
LARGEST_MASK: Final = 2**24
"""Pairs of positions, over all rows, up to which choices are read as branches: 64 MiB in fp32."""


class Scorer:
    """Weighs choices with one forward pass where they are one token long.

    What all prompts begin with is read once and stays in the cache for the next batch.
    """

    def __init__(
        self,
        layout: Layout,
        device: torch.device | str,
        chunk_tokens: int | None = None,
        during_prefix: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`chunk_tokens` reads longer prompts in chunks; what they share is read inside `during_prefix`."""
        self._layout, self._device, self._chunk_tokens = layout, device, chunk_tokens
        self._prefix = SharedPrefix(layout.base, device, chunk_tokens, during_prefix)

    def scores(
        self,
        ids: Sequence[Tokens],
        wanted: Sequence[Sequence[Tokens]],
        observer: Observer | None = None,
        *,
        likeliest: int | None = None,
    ) -> list[list[float]]:
        """The log-probability of each of a prompt's wanted continuations.

        With `likeliest` that of a continuation is minus infinity unless its last token is among so many
        likeliest ones, and each before it the likeliest. The observer sees the prompts read, and not the
        choices.
        """
        shared = () if observer is not None and observer.needs_all else self._prefix.of(ids)
        cache = self._prefix.cache(shared, len(ids), observer)
        suffixes = [one[len(shared) :] for one in ids]
        ends = [(row, len(suffix) - 1) for row, suffix in enumerate(suffixes)]
        hidden = self._at(suffixes, ends, cache, len(shared), observer)
        ranks = [[likeliest if len(choice) == 1 else 1 for choice in choices] for choices in wanted]
        firsts = [[choice[0] for choice in choices] for choices in wanted]
        found = self._logprobs(hidden, firsts, ranks=ranks if likeliest else None)
        if observer is not None:
            observer.ended(ids, [len(one) for one in ids])
        longer = [
            (row, index, choice)
            for row, choices in enumerate(wanted)
            for index, choice in enumerate(choices)
            if len(choice) > 1
        ]
        longer = [one for one in longer if found[one[0]][one[1]] > -math.inf]
        for at in range(0, len(longer), len(ids)):  # no more rows at once than prompts
            some = longer[at : at + len(ids)]
            rests = self._rests([(suffixes[row], choice) for row, _, choice in some], shared, likeliest)
            for (row, index, _), rest in zip(some, rests, strict=True):
                found[row][index] += rest
        return found

    def choice_scores(
        self, ids: Sequence[Tokens], wanted: Sequence[Sequence[Tokens]]
    ) -> list[list[float]] | None:
        """The same in one pass, whatever the choices' lengths: a row's branches are its longer choices
        without their last tokens. None where the mask that keeps them apart would be large."""
        import torch

        shared = self._prefix.of(ids)
        trees = [
            Tree(one[len(shared) :], tuple(choice[:-1] for choice in choices if len(choice) > 1))
            for one, choices in zip(ids, wanted, strict=True)
        ]
        width = max(len(tree.tokens) for tree in trees)
        if len(trees) * width * (len(shared) + width) > LARGEST_MASK:
            return None
        cache = self._prefix.cache(shared, len(trees))
        hidden = read_trees(trees, cache, len(shared), self._layout, self._device)
        del cache
        asked: list[tuple[int, int, int, int]] = []  # row, column, choice, token
        for row, (tree, choices) in enumerate(zip(trees, wanted, strict=True)):
            spans = iter(tree.spans())
            for index, choice in enumerate(choices):
                places = [len(tree.trunk) - 1, *(range(*next(spans)) if len(choice) > 1 else ())]
                asked += [(row, at, index, token) for at, token in zip(places, choice, strict=True)]
        rows = torch.tensor([each[0] for each in asked], device=hidden.device)
        columns = torch.tensor([each[1] for each in asked], device=hidden.device)
        kept = hidden[rows, columns]
        del hidden
        found = [[0.0] * len(choices) for choices in wanted]
        weights = self._logprobs(kept, [[token] for *_, token in asked], len(trees))
        for (row, _, index, _), (weight,) in zip(asked, weights, strict=True):
            found[row][index] += weight
        return found

    def branch_scores(
        self, groups: Sequence[Sequence[Tokens]], tokens: Sequence[int]
    ) -> list[list[list[float]]]:
        """The log-probabilities of `tokens` after each prompt of each group; a group is read in one row."""
        import torch

        every = [one for group in groups for one in group]
        shared = self._prefix.of(every)
        trees = [tree_of(group, len(shared)) for group in groups]
        cache = self._prefix.cache(shared, len(trees))
        hidden = read_trees(trees, cache, len(shared), self._layout, self._device)
        rows = torch.tensor([row for row, tree in enumerate(trees) for _ in tree.ends], device=hidden.device)
        ends = torch.tensor([end for tree in trees for end in tree.ends], device=hidden.device)
        kept = hidden[rows, ends]
        del hidden, cache
        found = iter(self._logprobs(kept, [tokens] * len(every), len(trees)))
        return [[next(found) for _ in group] for group in groups]

    def embedded(self, ids: Sequence[Tokens]) -> Tensor:
        """Each text's mean final state over its tokens, of length 1: (texts, width), fp32 on the host."""
        import torch

        sums = torch.zeros(())
        for begin, hidden in self._passes(ids, None):
            counts = torch.tensor([len(one) - begin for one in ids], device=hidden.device)
            inside = torch.arange(hidden.shape[1], device=hidden.device) < counts[:, None]
            sums = sums + (hidden.float() * inside[..., None]).sum(1)
        return torch.nn.functional.normalize(sums, dim=-1).cpu()

    def _rests(
        self, pairs: Sequence[tuple[Tokens, Tokens]], shared: Tokens, likeliest: int | None
    ) -> list[float]:
        """The log-probability of each choice's tokens after its first, given the prompt and the first.

        Pairs are what follows the shared prefix in a prompt, and a choice.
        """
        read = [(*suffix, *choice[:-1]) for suffix, choice in pairs]
        places = [
            (row, len(suffix) + at)
            for row, (suffix, choice) in enumerate(pairs)
            for at in range(len(choice) - 1)
        ]
        hidden = self._at(read, places, self._prefix.cache(shared, len(pairs)))
        tokens = [[token] for _, choice in pairs for token in choice[1:]]
        ranks = [[rank] for _, choice in pairs for rank in (*[1] * (len(choice) - 2), likeliest or 1)]
        found = [0.0] * len(pairs)
        weights = self._logprobs(hidden, tokens, ranks=ranks if likeliest else None)
        for (row, _), (weight,) in zip(places, weights, strict=True):
            found[row] += weight
        return found

    def _at(
        self,
        ids: Sequence[Tokens],
        places: Sequence[Place],
        cache: Cache | None,
        cached: int = 0,
        observer: Observer | None = None,
    ) -> Tensor:
        """(places, hidden) after the last norm; `cached` tokens precede every row in the cache."""
        import torch

        found: dict[Place, Tensor] = {}
        for begin, hidden in self._passes(ids, cache, cached, observer):
            here = [place for place in places if begin <= place[1] < begin + hidden.shape[1]]
            rows = torch.tensor([row for row, _ in here], device=hidden.device, dtype=torch.long)
            columns = torch.tensor([column - begin for _, column in here], device=hidden.device)
            found.update(zip(here, hidden[rows, columns.long()], strict=True))
        return torch.stack([found[place] for place in places])

    def _passes(
        self,
        ids: Sequence[Tokens],
        cache: Cache | None,
        cached: int = 0,
        observer: Observer | None = None,
    ) -> Iterator[tuple[int, Tensor]]:
        """The first column of each pass over the rows, and its (rows, columns, hidden) after the norm."""
        every, lengths = padded(ids, self._device), [len(one) + cached for one in ids]
        width = every.shape[1]
        size = min(self._chunk_tokens or width, width)
        if size < width and cache is None:
            from transformers import DynamicCache

            cache = DynamicCache(config=self._layout.config)
        for begin in range(0, width, size):
            some = every[:, begin : begin + size]
            first = cached + begin
            with observed(observer, right_padded(lengths, first, first + some.shape[1])):
                out = self._layout.base(input_ids=some, past_key_values=cache, use_cache=cache is not None)
            yield begin, out.last_hidden_state
            del out

    def _logprobs(
        self,
        hidden: Tensor,
        tokens: Sequence[Sequence[int]],
        most: int | None = None,
        ranks: Sequence[Sequence[int | None]] | None = None,
    ) -> list[list[float]]:
        """The log-probabilities of so many tokens at each position, the same number at all.

        Logits are made of a slice of the positions at once (`most` of them), and stay on the device. A token
        that is not among as many likeliest as `ranks` says has minus infinity.
        """
        import torch

        size = max(1, min(SLICE_LOGITS // self._layout.config.vocab_size, most or len(hidden)))
        found: list[list[float]] = []
        for begin in range(0, len(hidden), size):
            logits = logits_of(hidden[begin : begin + size], self._layout).float()
            asked = torch.tensor([list(each) for each in tokens[begin : begin + size]], device=logits.device)
            own = logits.gather(-1, asked)
            if ranks is not None:
                last = torch.tensor(ranks[begin : begin + size], device=logits.device) - 1
                highest = logits.topk(min(int(last.max()) + 1, logits.shape[-1])).values
                least = highest.gather(-1, last.clamp(max=highest.shape[-1] - 1))
                own = own.masked_fill(own < least, -math.inf)
            found += (own - logits.logsumexp(-1, keepdim=True)).tolist()
        return found
