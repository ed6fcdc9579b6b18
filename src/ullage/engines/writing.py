"""The generation loop: one forward pass a token over a batch of rows, whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from ullage.capture.coverage import Coverage, Part, left_padded
from ullage.capture.spelling import Decode
from ullage.engines.choosing import choose
from ullage.engines.engine import Sampling
from ullage.engines.kept_cache import KeptCache
from ullage.engines.observer import Observer, observed
from ullage.engines.prefix import Beginning, cache_of
from ullage.engines.row import Row

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import Cache

COMPACT_SHARE: Final = 0.75
"""Finished rows leave the batch once no more than this share of it is still being written."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A model that goes on from prompts.

    `ends` are the ids that end a sequence, `decode` turns ids into the text in which stop sequences are
    looked for. `chunk_tokens` reads longer prompts in chunks of that many. `on_prefilled` is called whenever
    a batch's prompts have been read and its writing begins. With a `beginning`, what all prompts of a batch
    begin with is read once.
    """

    model: nn.Module
    device: torch.device | str
    ends: frozenset[int]
    decode: Decode
    chunk_tokens: int | None = None
    on_prefilled: Callable[[], None] = lambda: None
    beginning: Beginning | None = None

    def write(self, rows: Sequence[Row], sampling: Sampling, observer: Observer | None = None) -> None:
        """Writes until every row has stopped or has `new_tokens`; rows leave the batch as they stop."""
        for _ in self.steps(rows, sampling, observer):
            pass

    def steps(
        self,
        rows: Sequence[Row],
        sampling: Sampling,
        observer: Observer | None = None,
        kept: KeptCache | None = None,
    ) -> Iterator[None]:
        """The same, pausing whenever rows have grown by a token, and once all of it has been read.

        A prompt that several rows have is read once, unless somebody watches each of them. A single row may
        go on from what is `kept` of an earlier one, and is kept itself.
        """
        import torch

        with torch.inference_mode():
            batch = self._batch(rows, observer, observer is not None and observer.to_the_end, kept)
        for step in range(sampling.new_tokens):
            with torch.inference_mode():
                logits = self._next(batch, observer)
                tokens = choose(logits, batch.active, sampling)
                del logits
                if step == 0:
                    self.on_prefilled()
                for row, token in zip(batch.active, tokens, strict=True):
                    row.extend(token, self.ends, sampling.stop, self.decode)
                last = step + 1 == sampling.new_tokens or all(row.stop for row in batch.active)
                if not last or batch.unread:
                    batch.go_on(tokens)
                if last and batch.unread:
                    self._next(batch, observer)
            yield
            if last:
                break
        if observer is not None:
            observer.ended([row.whole for row in rows], [len(row.prompt) for row in rows])

    def read(self, rows: Sequence[Row], observer: Observer | None = None) -> None:
        """Reads every row's prompt, and writes nothing."""
        import torch

        with torch.inference_mode():
            self._next(self._batch(rows, observer), observer)
        if observer is not None:
            observer.ended([row.whole for row in rows], [len(row.prompt) for row in rows])

    def _batch(
        self,
        rows: Sequence[Row],
        observer: Observer | None,
        to_the_end: bool = False,
        kept: KeptCache | None = None,
    ) -> _Batch:
        """The rows, none of them read but for what they begin with, or what is `kept` of it."""
        prompts = [row.prompt for row in rows]
        if kept is not None:
            (row,) = rows
            cache, shared = kept.begin(row)
            return _Batch(rows, prompts, self.device, to_the_end, shared, cache, kept)
        if observer is None:
            prompts = list(dict.fromkeys(prompts))
        shared, cache = (0, None) if self.beginning is None else self.beginning.of(prompts, observer)
        return _Batch(rows, prompts, self.device, to_the_end, shared, cache)

    def _next(self, batch: _Batch, observer: Observer | None) -> Tensor:
        """(rows, vocabulary) logits after everything that is waiting in the batch has been read."""
        logits: Tensor | None = None
        for begin, end, coverage in batch.passes(self.chunk_tokens):
            logits = None  # those of the chunk before
            seen = batch.mask.shape[1] - batch.ids.shape[1] + end
            if batch.kept is not None:
                batch.kept.begin_pass()
            with observed(observer, coverage):
                out = self.model(
                    input_ids=batch.ids[:, begin:end],
                    attention_mask=batch.mask[:, :seen],
                    position_ids=batch.positions[:, begin:end],
                    past_key_values=batch.cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
            batch.cache, logits = cache_of(self.model, out), out.logits[:, -1]
            if batch.kept is not None:
                batch.kept.end_pass(batch.cache, seen)
            del out
        assert logits is not None
        return batch.apart(logits)


class _Batch:
    """Rows padded on the left, and their cache.

    `ids` (rows, columns) wait to be read, `mask` (rows, columns of the cache and of `ids`) tells padding.
    With `to_the_end` a row that has stopped waits until its last token has been read. Rows of one prompt are
    one row of `prompts` until it has been read; their `shared` first tokens are in `cache` from the start,
    which is `kept` beyond this batch where that is given.
    Invariant: `active[i]` is row i of every tensor here and of the cache, once prompts have been read.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        prompts: Sequence[tuple[int, ...]],
        device: torch.device | str,
        to_the_end: bool = False,
        shared: int = 0,
        cache: Cache | None = None,
        kept: KeptCache | None = None,
    ) -> None:
        import torch

        self._to_the_end, self._shared, self._begun = to_the_end, shared, False
        self.kept = kept
        self.active = list(rows)
        self._numbers = list(range(len(rows)))
        self._prompts = prompts
        longest = max(map(len, prompts))
        ids = torch.zeros(len(prompts), longest - shared, dtype=torch.long)
        mask = torch.zeros(len(prompts), longest, dtype=torch.long)
        mask[:, :shared] = 1
        for index, prompt in enumerate(prompts):
            own = len(prompt) - shared
            ids[index, -own:] = torch.tensor(prompt[shared:])
            mask[index, -own:] = 1
        self.ids, self.mask = ids.to(device), mask.to(device)
        self.positions = (self.mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        self.cache = cache

    def passes(self, chunk: int | None) -> Iterator[tuple[int, int, Coverage]]:
        """The columns that each pass reads, and what they are."""
        if self._begun:
            yield 0, 1, self._newest()
            return
        self._begun = True
        lengths = [len(prompt) - self._shared for prompt in self._prompts]
        longest = self.ids.shape[1]
        size = longest if chunk is None else chunk
        for begin in range(0, longest, size):
            end = min(begin + size, longest)
            yield begin, end, left_padded(lengths, begin, end, self._shared)

    def apart(self, logits: Tensor) -> Tensor:
        """(rows, vocabulary) of logits after what was read; from the first time on each row has its own
        cache, whoever it read its prompt with."""
        import torch

        if self.mask.shape[0] == len(self.active):
            return logits
        place = {prompt: index for index, prompt in enumerate(self._prompts)}
        places = torch.tensor([place[row.prompt] for row in self.active], device=self.mask.device)
        assert self.cache is not None
        self.cache.reorder_cache(cast("torch.LongTensor", places))  # of recurrences too
        self.mask, self.positions = self.mask[places], self.positions[places]
        return logits[places]

    def _newest(self) -> Coverage:
        """The last token of every row that is still being written, or waits for it."""
        parts = []
        for index, (number, row) in enumerate(zip(self._numbers, self.active, strict=True)):
            if self._stays(row):
                at = len(row.prompt) + len(row.tokens) - 1
                parts.append(Part(index, 0, number, at, at + 1))
                row.unread = False
        return Coverage(len(self.active), tuple(parts))

    def _stays(self, row: Row) -> bool:
        """Whether a row's newest token is still to be read."""
        return not row.stop or (self._to_the_end and row.unread)

    @property
    def unread(self) -> bool:
        """Whether a last token waits to be read, for those who listen to the end."""
        return self._to_the_end and any(row.unread for row in self.active)

    def go_on(self, tokens: Sequence[int]) -> None:
        """Makes `tokens` what is read next; rows that have stopped leave where enough have."""
        import torch

        self.ids = torch.tensor(tokens, device=self.mask.device)[:, None]
        self.positions = self.positions[:, -1:] + 1
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.active), 1)], dim=1)
        going = [index for index, row in enumerate(self.active) if self._stays(row)]
        if len(going) <= COMPACT_SHARE * len(self.active):
            kept = torch.tensor(going, device=self.mask.device)
            assert self.cache is not None
            self.cache.batch_select_indices(kept)
            self.ids, self.mask, self.positions = self.ids[kept], self.mask[kept], self.positions[kept]
            self.active = [self.active[index] for index in going]
            self._numbers = [self._numbers[index] for index in going]


def end_tokens(model: nn.Module) -> frozenset[int]:
    """Ids that end what the model writes, as its generation config names them."""
    end = getattr(model.generation_config, "eos_token_id", None)
    return frozenset() if end is None else frozenset({end} if isinstance(end, int) else end)
