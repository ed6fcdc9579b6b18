"""How probable given continuations are, and what a model makes of a text as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from ullage.capture.coverage import right_padded
from ullage.capture.logits import logits_of
from ullage.capture.reader import padded
from ullage.engines.branching import Tree, read_trees, tree_of
from ullage.engines.choosing import SLICE_LOGITS
from ullage.engines.observer import Observer, observed
from ullage.engines.prefix import SharedPrefix
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
        branches: bool = False,
    ) -> list[list[float]]:
        """The log-probability of each of a prompt's wanted continuations.

        The observer sees the prompts read, and not the choices. With `branches` those of several tokens are
        read behind their prompt in its own row, while the mask that keeps them apart is small; else after a
        prompt of their own each, as many rows at once as there are prompts.
        """
        if branches and observer is None:
            shared = self._prefix.of(ids)
            trees = [
                Tree(one[len(shared) :], tuple(choice[:-1] for choice in choices if len(choice) > 1))
                for one, choices in zip(ids, wanted, strict=True)
            ]
            width = max(len(tree.tokens) for tree in trees)
            if len(trees) * width * (len(shared) + width) <= LARGEST_MASK:
                return self._branched(trees, wanted, shared)
        shared = () if observer is not None and observer.needs_all else self._prefix.of(ids)
        cache = self._prefix.cache(shared, len(ids), observer)
        suffixes = [one[len(shared) :] for one in ids]
        ends = [(row, len(suffix) - 1) for row, suffix in enumerate(suffixes)]
        hidden = self._at(suffixes, ends, cache, len(shared), observer)
        found = self._logprobs(hidden, [[choice[0] for choice in choices] for choices in wanted])
        if observer is not None:
            observer.ended(ids, [len(one) for one in ids])
        longer = [
            (row, index, choice)
            for row, choices in enumerate(wanted)
            for index, choice in enumerate(choices)
            if len(choice) > 1
        ]
        if longer:
            pairs = [(suffixes[row], choice) for row, _, choice in longer]
            rests = [
                rest
                for at in range(0, len(pairs), len(ids))
                for rest in self._rests(pairs[at : at + len(ids)], shared)
            ]
            for (row, index, _), rest in zip(longer, rests, strict=True):
                found[row][index] += rest
        return found

    def _branched(
        self, trees: Sequence[Tree], wanted: Sequence[Sequence[Tokens]], shared: Tokens
    ) -> list[list[float]]:
        """The same in one pass; the branches of a row are its longer choices without their last tokens."""
        import torch

        cache = self._prefix.cache(shared, len(trees))
        hidden = read_trees(trees, cache, len(shared), self._layout, self._device)
        del cache
        asked: list[tuple[int, int, int, int]] = []  # row, column, choice, token
        for row, (tree, choices) in enumerate(zip(trees, wanted, strict=True)):
            spans = iter(tree.spans())
            for index, choice in enumerate(choices):
                columns = [len(tree.trunk) - 1, *(range(*next(spans)) if len(choice) > 1 else ())]
                asked += [(row, *each) for each in zip(columns, [index] * len(choice), choice, strict=True)]
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

    def _rests(self, pairs: Sequence[tuple[Tokens, Tokens]], shared: Tokens) -> list[float]:
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
        tokens = [token for _, choice in pairs for token in choice[1:]]
        found = [0.0] * len(pairs)
        for (row, _), (weight,) in zip(
            places, self._logprobs(hidden, [[one] for one in tokens]), strict=True
        ):
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
        self, hidden: Tensor, tokens: Sequence[Sequence[int]], most: int | None = None
    ) -> list[list[float]]:
        """The log-probabilities of so many tokens at each position, the same number at all.

        Logits are made of a slice of the positions at once (`most` of them), and stay on the device.
        """
        import torch

        size = max(1, min(SLICE_LOGITS // self._layout.config.vocab_size, most or len(hidden)))
        found: list[list[float]] = []
        for begin in range(0, len(hidden), size):
            logits = logits_of(hidden[begin : begin + size], self._layout).float()
            asked = torch.tensor([list(each) for each in tokens[begin : begin + size]], device=logits.device)
            found += (logits.gather(-1, asked) - logits.logsumexp(-1, keepdim=True)).tolist()
        return found
