"""Generation and scoring with a transformers model in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from ullage.capture.spelling import decode, generated_offsets, told
from ullage.engines.branching import rows_of, why_singly, window_of
from ullage.engines.choosing import summed
from ullage.engines.engine import Ask, Failure, Piece, Prompt, Reply, Sampling
from ullage.engines.forms import LIKELIEST
from ullage.engines.kept_cache import KeptCache, keeps
from ullage.engines.observer import Observer
from ullage.engines.pieces import pieces_of
from ullage.engines.prefix import Beginning
from ullage.engines.prompts import PromptEncoder
from ullage.engines.row import Row, first_stop, new_row
from ullage.engines.scoring import Scorer
from ullage.engines.writing import Writer, end_tokens
from ullage.runtime.layout import find_layout

if TYPE_CHECKING:
    from torch import Tensor

    from ullage.runtime.loader import Loaded


class TransformersEngine:
    """One loaded model that writes replies and weighs choices.

    Invariant: a reply depends on its prompt, sampling and seed, not on what else is in the batch, up to the
    rounding of matrix products of other shapes.
    """

    def __init__(
        self,
        loaded: Loaded,
        name: str,
        chunk_tokens: int | None = None,
        on_prefilled: Callable[[], None] = lambda: None,
        during_prefix: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`chunk_tokens` reads longer prompts in chunks of that many.

        `on_prefilled` is called whenever a batch's prompts have been read and its replies begin; what the
        prompts of scores share is read inside `during_prefix`.
        """
        self._layout = find_layout(loaded.model)
        self._encoder = PromptEncoder(loaded.tokenizer, name, self._layout.rows)
        end = self._encoder.tokenizer.eos_token_id
        ends = end_tokens(loaded.model) | (frozenset() if end is None else {end})
        self._window = window_of(self._layout.config)
        windowed = self._window is not None
        beginning = None if windowed else Beginning(self._layout, loaded.device, chunk_tokens)
        # Nothing that an engine holds leads back to it: its caches go as soon as it does, at no collection.
        as_text = partial(decode, self._encoder.tokenizer)
        self._writer = Writer(
            loaded.model, loaded.device, ends, as_text, chunk_tokens, on_prefilled, beginning
        )
        self._scorer = Scorer(self._layout, loaded.device, chunk_tokens, during_prefix)
        self._observer: Observer | None = None
        self._kept = KeptCache() if keeps(self._layout) else None
        self._device, self._chunk_tokens = loaded.device, chunk_tokens
        self._apart: str | None = None

    def lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt."""
        return [*map(len, self._encoder.all_ids(prompts))]

    @contextmanager
    def observed(self, observer: Observer) -> Iterator[None]:
        """Inside, `observer` is told of every batch that is written or weighed; there should be one."""
        self._observer = observer
        try:
            yield
        finally:
            self._observer = None

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Reply | Failure]:
        """A reply to each prompt, all in one batch; rows leave it as they end."""
        rows = [new_row(self._encoder.ids(prompt), seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        self._writer.write(rows, sampling, self._observer)
        return [self._reply(row, sampling) for row in rows]

    def read(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[Reply]:
        """One pass over each prompt and the text after it, as if the text were the reply."""
        begun = [self._encoder.ids(prompt) for prompt in prompts]
        added = [self._encoder.continuation(*both) for both in zip(prompts, texts, strict=True)]
        rows = [new_row((*ids, *more), 0) for ids, more in zip(begun, added, strict=True)]
        self._writer.read(rows, self._observer)
        found = []
        for ids, more in zip(begun, added, strict=True):
            text, offsets = generated_offsets("", more, self._encoder.tokenizer)
            pieces = tuple(self._encoder.tokenizer.convert_ids_to_tokens(list(more)))
            found.append(Reply(text, "end", len(ids), tuple(more), pieces, tuple(offsets)))
        return found

    def stream(self, prompt: Prompt, sampling: Sampling, seed: int) -> Iterator[Piece | Reply]:
        """The same reply as `generate` writes, piece by piece. What the prompt has in common with the last
        one streamed, and its reply, is not read again, where the model goes on as if it were."""
        row = new_row(self._encoder.ids(prompt), seed)
        pieces = pieces_of(self._encoder.tokenizer, sampling.stop)
        kept = self._kept
        if self._observer is not None and self._observer.needs_all:
            kept = None
            self.forget()
        for _ in self._writer.steps([row], sampling, self._observer, kept):
            if row.stop is None:
                yield from pieces.grown(row.tokens[-1])
        reply = self._reply(row, sampling)
        yield from pieces.rest(reply)
        yield reply

    def write(
        self, asks: Sequence[Ask], sampling: Sampling, gone: Callable[[int], bool]
    ) -> Iterator[list[tuple[int, Piece | Reply]]]:
        """The same replies as `generate` writes, each as it comes; a row that is `gone` leaves its batch."""
        rows = [
            new_row(self._encoder.begun(ask.prompt, ask.begins), ask.seed, ask.new_tokens, ask.likeliest)
            for ask in asks
        ]
        pieces = [pieces_of(self._encoder.tokenizer, sampling.stop) if ask.pieces else None for ask in asks]
        open_ = set(range(len(rows)))
        for _ in self._writer.steps(rows, sampling):
            found: list[tuple[int, Piece | Reply]] = []
            for at in sorted(open_):
                row, own = rows[at], pieces[at]
                if row.stop is None and gone(at):
                    row.stop = "length"
                if own is not None and row.stop is None:
                    found += [(at, piece) for piece in own.grown(row.tokens[-1])]
                if row.stop is not None or len(row.tokens) == sampling.new_tokens:
                    open_.discard(at)
                    reply = self._reply(row, sampling)
                    found += [(at, piece) for piece in ([] if own is None else own.rest(reply))]
                    found.append((at, reply))
            yield found

    def forget(self) -> None:
        """Gives up what was kept of streamed replies."""
        if self._kept is not None:
            self._kept.forget()

    def score(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The log-probability of each choice after each prompt: one pass when choices are one token."""
        import torch

        ids = [self._encoder.ids(prompt) for prompt in prompts]
        wanted = [[self._encoder.continuation(prompt, choice) for choice in choices] for prompt in prompts]
        with torch.inference_mode():
            longer = self._observer is None and any(len(choice) > 1 for some in wanted for choice in some)
            if longer and not self._why_no_branches(max(map(len, ids))):
                found = self._scorer.choice_scores(ids, wanted)
                if found is not None:
                    return [tuple(row) for row in found]
            return [tuple(row) for row in self._scorer.scores(ids, wanted, self._observer)]

    def weigh(self, prompts: Sequence[Prompt], words: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The log-probability with which the reply begins with each word, as `Weighing` says; one pass where
        words are one token."""
        import torch

        ids = [self._encoder.ids(prompt) for prompt in prompts]
        forms = [[self._encoder.spellings(prompt, word) for word in words] for prompt in prompts]
        wanted = [[each for some in own for each in some] for own in forms]
        with torch.inference_mode():
            scores = self._scorer.scores(ids, wanted, self._observer, likeliest=LIKELIEST)
        return [summed(weights, own) for weights, own in zip(scores, forms, strict=True)]

    def rows(self, prompts: Sequence[Prompt], most: int) -> list[tuple[tuple[int, ...], int]]:
        """Which of the prompts make up rows of up to `most` tokens, and how many each has."""
        return rows_of([self._encoder.ids(prompt) for prompt in prompts], most)

    def decide(
        self, rows: Sequence[Sequence[Prompt]], choices: Sequence[str]
    ) -> list[list[tuple[float, ...] | Failure]]:
        """For each prompt of each row each choice's log-probability, all its forms' together; one pass.

        A choice that is no single token is weighed as the model would write it, and its prompts by
        themselves, as they are where they are observed.
        """
        import torch

        forms = [self._encoder.forms(choice) for choice in choices]
        if self._observer is not None or not all(forms) or all(len(row) == 1 for row in rows):
            prompts = [prompt for row in rows for prompt in row]
            alone = (prompts[at : at + len(rows)] for at in range(0, len(prompts), len(rows)))
            scores = iter([one for some in alone for one in self._singly(some, choices, forms)])
            return [[next(scores) for _ in row] for row in rows]
        ids = [[self._encoder.ids(prompt) for prompt in row] for row in rows]
        with torch.inference_mode():
            found = self._scorer.branch_scores(ids, [token for some in forms for token in some])
        return [[summed(weights, forms) for weights in row] for row in found]

    def why_singly(self, most: int, choices: Sequence[str]) -> str:
        """Why a row of `most` tokens holds one prompt; "" where it may hold several that begin alike."""
        split = [choice for choice in choices if not self._encoder.forms(choice)]
        if split:
            return f"{split[0]!r} is no single token of this model"
        return self._why_no_branches(most)

    def _why_no_branches(self, most: int) -> str:
        """Why a row of `most` tokens has no branches; "" where they are read as if each stood alone."""
        import torch

        if self._window is not None and most > self._window:
            return f"some layers see no more than {self._window:,} tokens, and a row may have {most:,}"
        if self._chunk_tokens:
            return "long prompts are read in chunks"
        if self._apart is None:
            with torch.inference_mode():
                self._apart = why_singly(self._layout, self._device)
        return self._apart

    def _singly(
        self, prompts: Sequence[Prompt], choices: Sequence[str], forms: Sequence[tuple[int, ...]]
    ) -> list[tuple[float, ...]]:
        """The same, each prompt in a row of its own."""
        import torch

        wanted: list[list[tuple[int, ...]]] = [[] for _ in prompts]
        for prompt, own in zip(prompts, wanted, strict=True):
            for choice, some in zip(choices, forms, strict=True):
                own += [(token,) for token in some] or [self._encoder.continuation(prompt, choice)]
        with torch.inference_mode():
            ids = [self._encoder.ids(prompt) for prompt in prompts]
            scores = self._scorer.scores(ids, wanted, self._observer)
        return [summed(own, [some or (0,) for some in forms]) for own in scores]

    def embed(self, prompts: Sequence[Prompt], batch: int) -> Tensor:
        """Each prompt's mean final state over its tokens, of length 1: (prompts, width), fp32 on the host.

        The mean of a decoder's last states is what BehnamGhader et al. 2024 (LLM2Vec, arXiv:2404.05961)
        pool by; models trained as embedders give sharper similarities than plain ones.
        """
        import torch

        found = [torch.empty(0, self._layout.config.hidden_size)]
        with torch.inference_mode():
            for at in range(0, len(prompts), batch):
                some = [self._encoder.ids(prompt) for prompt in prompts[at : at + batch]]
                found.append(self._scorer.embedded(some))
        return torch.cat(found)

    def _reply(self, row: Row, sampling: Sampling) -> Reply:
        """A row as it is given back: text and tokens end where a stop sequence begins."""
        text, offsets = generated_offsets("", row.tokens, self._encoder.tokenizer)
        cut = first_stop(text, sampling.stop) if row.stop == "stop" else None
        kept = len(row.tokens)
        if cut is not None:
            text = text[:cut]
            kept = sum(begin < cut for begin, _ in offsets)
        counted = kept + (row.stop == "end")
        pieces = tuple(self._encoder.tokenizer.convert_ids_to_tokens(row.tokens[:kept]))
        return Reply(
            text,
            row.stop or "length",
            len(row.prompt),
            tuple(row.tokens[:kept]),
            pieces,
            tuple((begin, min(end, len(text))) for begin, end in offsets[:kept]),
            tuple(row.logprobs[:counted]),
            tuple(row.entropies[:counted]),
            told(row.tokens[:kept], row.told, self._encoder.tokenizer) if row.likeliest else (),
        )
