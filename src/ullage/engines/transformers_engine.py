"""Generation and scoring with a transformers model in this process."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ullage.capture.logits import logits_of
from ullage.capture.reader import end_tokens, padded
from ullage.capture.tokens import generated_offsets
from ullage.engines.engine import Failure, Prompt, Reply, Sampling, StopReason
from ullage.engines.prompts import PromptEncoder
from ullage.runtime.layout import find_layout

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ullage.runtime.loader import Loaded

SLICE_LOGITS: Final = 2**22
"""Logits that are turned into probabilities at once: 16 MiB in fp32, whatever batch and vocabulary are."""
COMPACT_SHARE: Final = 0.75
"""Finished replies leave the batch once no more than this share of it is still being written."""
SHORTEST_PREFIX: Final = 8
"""Tokens all prompts of a batch must begin with before they are kept in the cache."""


class TransformersEngine:
    """One loaded model that writes replies and weighs choices.

    Invariant: a reply depends on its prompt, sampling and seed, not on what else is in the batch, up to the
    rounding of matrix products of other shapes.
    """

    def __init__(self, loaded: Loaded, name: str, after_prefill: Callable[[], None] | None = None) -> None:
        """`after_prefill` is called whenever a batch's prompts have been read and its replies begin."""
        self._model: Any = loaded.model
        self._device = loaded.device
        self._encoder = PromptEncoder(loaded.tokenizer, name)
        self._layout = find_layout(loaded.model)
        self._ends = end_tokens(loaded.model, {}) | {loaded.tokenizer.eos_token_id}
        self._prefix: tuple[tuple[int, ...], Any] = ((), None)
        self._after_prefill = after_prefill

    def lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt."""
        return [len(self._encoder.ids(prompt)) for prompt in prompts]

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Reply | Failure]:
        """A reply to each prompt, all in one batch; rows leave it as they end."""
        import torch

        rows = [
            _Row(self._encoder.ids(prompt), torch.Generator().manual_seed(seed))
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        with torch.inference_mode():
            self._write(rows, sampling)
        return [self._reply(row, sampling) for row in rows]

    def score(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The log-probability of each choice after each prompt: one forward pass when choices are one token.

        What all prompts begin with is read once and stays in the cache for the next batch.
        """
        import torch

        ids = [self._encoder.ids(prompt) for prompt in prompts]
        wanted = [[self._encoder.continuation(prompt, choice) for choice in choices] for prompt in prompts]
        with torch.inference_mode():
            found = self._scored(ids, wanted)
        return [tuple(row) for row in found]

    def embed(self, texts: Sequence[str], batch: int) -> Tensor:
        """Each text's mean final state over its tokens, of length 1: (texts, width), fp32 on the host.

        The mean of a decoder's last states is what BehnamGhader et al. 2024 (LLM2Vec, arXiv:2404.05961)
        pool by; models trained as embedders give sharper similarities than plain ones.
        """
        import torch

        found = [torch.empty(0, self._layout.config.hidden_size)]
        with torch.inference_mode():
            for at in range(0, len(texts), batch):
                ids = [self._encoder.ids(text) for text in texts[at : at + batch]]
                hidden = self._hidden(padded(ids, self._device), None).float()
                counts = torch.tensor([len(one) for one in ids], device=hidden.device)
                inside = torch.arange(hidden.shape[1], device=hidden.device) < counts[:, None]
                sums = (hidden * inside[..., None]).sum(1)
                found.append(torch.nn.functional.normalize(sums, dim=-1).cpu())
        return torch.cat(found)

    def _write(self, rows: list[_Row], sampling: Sampling) -> None:
        """Writes until every row has stopped or has `new_tokens`."""
        import torch

        longest = max(len(row.prompt) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, longest - len(row.prompt) :] = torch.tensor(row.prompt)
            mask[index, longest - len(row.prompt) :] = 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = None
        active = rows
        for step in range(sampling.new_tokens):
            out = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            tokens = self._choose(out.logits[:, -1], active, sampling)
            del out
            if step == 0 and self._after_prefill is not None:
                self._after_prefill()
            for row, token in zip(active, tokens, strict=True):
                self._extend(row, token, sampling)
            if all(row.stop for row in active):
                return
            ids = torch.tensor(tokens, device=mask.device)[:, None]
            positions = positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=1)
            going = [index for index, row in enumerate(active) if not row.stop]
            if len(going) <= COMPACT_SHARE * len(active) and step + 1 < sampling.new_tokens:
                kept = torch.tensor(going, device=mask.device)
                cache.batch_select_indices(kept)
                ids, mask, positions = ids[kept], mask[kept], positions[kept]
                active = [active[index] for index in going]

    def _choose(self, logits: Tensor, rows: Sequence[_Row], sampling: Sampling) -> list[int]:
        """The next token of each row; its log-probability and the entropy go to rows still being written."""
        import torch

        chosen: list[int] = []
        size = max(1, SLICE_LOGITS // logits.shape[-1])
        for begin in range(0, len(rows), size):
            logprobs = logits[begin : begin + size].float().log_softmax(-1)
            entropies = torch.special.entr(logprobs.exp()).sum(-1).tolist()
            some = rows[begin : begin + size]
            greedy = sampling.temperature == 0
            tokens = logprobs.argmax(-1) if greedy else _drawn(logprobs, some, sampling)
            weights = logprobs.gather(-1, tokens[:, None])[:, 0].tolist()
            for row, weight, entropy in zip(some, weights, entropies, strict=True):
                if not row.stop:
                    row.logprobs.append(weight)
                    row.entropies.append(entropy)
            chosen += tokens.tolist()
        return chosen

    def _extend(self, row: _Row, token: int, sampling: Sampling) -> None:
        """Adds a token to a row that is being written, and stops it where it ends."""
        if row.stop:
            return
        if token in self._ends:
            row.stop = "end"
            return
        row.tokens.append(token)
        if sampling.stop and _first_stop(self._decode(row.tokens), sampling.stop) is not None:
            row.stop = "stop"

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._encoder.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def _reply(self, row: _Row, sampling: Sampling) -> Reply:
        """A row as it is given back: text and tokens end where a stop sequence begins."""
        text, offsets = generated_offsets("", row.tokens, self._encoder.tokenizer)
        cut = _first_stop(text, sampling.stop) if row.stop == "stop" else None
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
        )

    def _scored(
        self, ids: Sequence[tuple[int, ...]], wanted: Sequence[Sequence[tuple[int, ...]]]
    ) -> list[list[float]]:
        import torch

        shared = self._prefix_of(ids)
        cache = self._cached(shared, len(ids))
        suffixes = [one[len(shared) :] for one in ids]
        hidden = self._hidden(padded(suffixes, self._device), cache)
        last = torch.tensor([len(row) - 1 for row in suffixes], device=hidden.device)
        ends = hidden[torch.arange(len(ids), device=hidden.device), last]
        del hidden
        first = self._logprobs(ends)
        found = [[first[row, choice[0]].item() for choice in choices] for row, choices in enumerate(wanted)]
        longer = [
            (row, index, choice)
            for row, choices in enumerate(wanted)
            for index, choice in enumerate(choices)
            if len(choice) > 1
        ]
        if longer:
            rests = self._rests([(suffixes[row], choice) for row, _, choice in longer], shared)
            for (row, index, _), rest in zip(longer, rests, strict=True):
                found[row][index] += rest
        return found

    def _rests(
        self, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], shared: tuple[int, ...]
    ) -> list[float]:
        """The log-probability of each choice's tokens after its first, given the prompt and the first.

        Pairs are what follows the shared prefix in a prompt, and a choice.
        """
        import torch

        read = [[*suffix, *choice[:-1]] for suffix, choice in pairs]
        hidden = self._hidden(padded(read, self._device), self._cached(shared, len(pairs)))
        places = [
            (row, len(suffix) + at)
            for row, (suffix, choice) in enumerate(pairs)
            for at in range(len(choice) - 1)
        ]
        rows, columns = (torch.tensor(each, device=hidden.device) for each in zip(*places, strict=True))
        logprobs = self._logprobs(hidden[rows, columns])
        tokens = [token for _, choice in pairs for token in choice[1:]]
        found = [0.0] * len(pairs)
        for (row, _), token, weights in zip(places, tokens, logprobs, strict=True):
            found[row] += weights[token].item()
        return found

    def _hidden(self, ids: Tensor, cache: Any) -> Tensor:
        base: Any = self._layout.base
        found: Tensor = base(
            input_ids=ids, past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
        return found

    def _logprobs(self, hidden: Tensor) -> Tensor:
        """(positions, vocabulary) on the host, fp32."""
        import torch

        size = max(1, SLICE_LOGITS // self._layout.config.vocab_size)
        return torch.cat(
            [logits_of(some, self._layout).float().log_softmax(-1).cpu() for some in hidden.split(size)]
        )

    def _prefix_of(self, ids: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        """What all prompts begin with; that of the last batch where it covers most of it, for it is there."""
        shared, held = _shared_prefix(ids), self._prefix[0]
        return held if held and shared[: len(held)] == held and 2 * len(held) >= len(shared) else shared

    def _cached(self, shared: tuple[int, ...], batch: int) -> Any:
        """A cache of `batch` rows that hold the shared prefix; None where nothing is shared."""
        import torch

        if not shared:
            return None
        if self._prefix[0] != shared:
            self._prefix = ((), None)
            base: Any = self._layout.base
            ids = torch.tensor([shared], device=self._device)
            self._prefix = (shared, base(input_ids=ids, use_cache=True).past_key_values)
        cache = copy.deepcopy(self._prefix[1])
        cache.batch_repeat_interleave(batch)
        return cache


@dataclass(slots=True)
class _Row:
    """One reply while it is written."""

    prompt: tuple[int, ...]
    chance: Generator
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    stop: StopReason | None = None


def _drawn(logprobs: Tensor, rows: Sequence[_Row], sampling: Sampling) -> Tensor:
    """One token a row by inverting the cumulative distribution at the row's own random number."""
    import torch

    weights = (logprobs.double() / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:
        ordered, places = weights.sort(-1, descending=True)
        ordered[ordered.cumsum(-1) - ordered >= sampling.top_p] = 0
        weights = torch.zeros_like(weights).scatter_(-1, places, ordered)
    reached = weights.cumsum(-1)
    numbers = [torch.rand((), generator=row.chance, dtype=torch.float64).item() for row in rows]
    aimed = torch.tensor(numbers, device=weights.device, dtype=torch.float64)[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, aimed, right=True)[:, 0].clamp(max=weights.shape[-1] - 1)


def _first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop sequence begins."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return min(found, default=None)


def _shared_prefix(ids: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """What all prompts begin with, at least one token short of each."""
    low, high = min(ids), max(ids)
    count = 0
    for one, other in zip(low, high, strict=False):
        if one != other:
            break
        count += 1
    count = min(count, min(map(len, ids)) - 1)
    return low[:count] if count >= SHORTEST_PREFIX else ()
