"""Generation and scoring by a vLLM engine in this process, which finds shared prefixes by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from ullage.capture.spelling import generated_offsets, told
from ullage.engines.choosing import summed
from ullage.engines.engine import Ask, Failure, Piece, Prompt, Reply, Sampling, StopReason
from ullage.engines.forms import LIKELIEST, Step, begun_with, steps_for
from ullage.engines.pieces import pieces_of
from ullage.engines.prompts import PromptEncoder
from ullage.engines.vllm_writing import Asked, given, params_of, written
from ullage.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from vllm import LLM, RequestOutput
    from vllm.logprobs import Logprob

    from ullage.engines.vllm import Options

ENVIRONMENT: Final = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
"""What a user's own environment may say otherwise; unless it does, vLLM sends no statistics anywhere."""
MULTIPROCESSING: Final = "VLLM_ENABLE_V1_MULTIPROCESSING"


def start_vllm(model: str, options: Options) -> LLM:
    """A vLLM engine of the model in folder `model`; `options` are those of `vllm.LLM`.

    It runs in this process unless it is split over GPUs, caches prefixes, and reports to nobody. Raises
    UnsupportedError where vLLM itself cannot be imported, InputError for what vLLM refuses.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from vllm import LLM
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise UnsupportedError(f"engine: vllm: vLLM cannot be imported here: {reason}") from error
    alone = options.get("tensor_parallel_size", 1) == 1 and MULTIPROCESSING not in os.environ
    if alone:
        os.environ[MULTIPROCESSING] = "0"
    try:
        return LLM(model=model, enable_prefix_caching=True, disable_log_stats=True, seed=0, **options)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"vLLM does not start: {' '.join(str(error).split())}") from error
    finally:
        if alone:
            del os.environ[MULTIPROCESSING]


class VllmEngine:
    """A running vLLM engine. All prompts of a call go in at once; vLLM makes the batches.

    Log-probabilities are the model's own, before temperature (`logprobs_mode: raw_logprobs`, the default);
    entropies are not known.
    """

    def __init__(self, llm: LLM, name: str) -> None:
        self._llm = llm
        try:
            self._encoder = PromptEncoder(llm.get_tokenizer(), name)
        except UnsupportedError:
            self.close()
            raise

    @property
    def cache_tokens(self) -> int:
        """How many tokens vLLM's own cache holds, as it reports at its start."""
        cache = self._llm.llm_engine.vllm_config.cache_config
        return int(cache.num_gpu_blocks * cache.block_size)

    def held(self) -> dict[str, int]:
        """Bytes of what vLLM holds in this process: `kv_cache`, and `weights` on a GPU.

        On processors it repacks weights, which then are no tensors; in processes of its own it says nothing.
        """
        core = getattr(self._llm.llm_engine.engine_core, "engine_core", None)
        if core is None or self._llm.llm_engine.vllm_config.parallel_config.world_size > 1:
            return {}
        held: dict[str, int] = self._llm.collective_rpc(_held)[0]
        return held

    def close(self) -> None:
        """Frees the engine's memory; it cannot be asked any more."""
        self._llm.llm_engine.engine_core.shutdown()
        del self._llm

    def lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt."""
        return [len(self._encoder.ids(prompt)) for prompt in prompts]

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Reply | Failure]:
        """A reply to each prompt; one that leaves no room for a reply fails."""
        asked = [self._encoder.ids(prompt) for prompt in prompts]
        fits = [len(one) < self._longest for one in asked]
        ids = [one for one, fit in zip(asked, fits, strict=True) if fit]
        options = [
            params_of(sampling, seed, sampling.new_tokens)
            for seed, fit in zip(seeds, fits, strict=True)
            if fit
        ]
        found = self._llm.generate([*map(given, ids)], options, use_tqdm=False) if ids else []
        replies = iter([self._reply(one, len(own)) for one, own in zip(found, ids, strict=True)])
        return [
            next(replies) if fit else self._too_long(len(one)) for one, fit in zip(asked, fits, strict=True)
        ]

    def write(
        self, asks: Sequence[Ask], sampling: Sampling, gone: Callable[[int], bool]
    ) -> Iterator[list[tuple[int, Piece | Reply]]]:
        """The same replies, each as it comes; one that is `gone` leaves vLLM's batch.

        Raises InputError for a prompt that leaves no room for a reply.
        """
        asked = []
        for ask in asks:
            ids = self._encoder.begun(ask.prompt, ask.begins)
            if len(ids) >= self._longest:
                raise InputError(self._too_long(len(ids)).reason)
            pieces = pieces_of(self._encoder.tokenizer, sampling.stop) if ask.pieces else None
            asked.append(Asked(ids, params_of(sampling, ask.seed, ask.new_tokens, ask.likeliest), pieces))
        yield from written(self._llm, asked, self._reply, gone)

    def score(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The log-probability of each choice after each prompt, one token deep for each of its tokens."""
        ids = [self._encoder.ids(prompt) for prompt in prompts]
        wanted = [[self._encoder.continuation(prompt, choice) for choice in choices] for prompt in prompts]
        fits = [
            len(prompt) + max(map(len, tokens)) <= self._longest
            for prompt, tokens in zip(ids, wanted, strict=True)
        ]
        asked: dict[tuple[int, ...], set[int]] = {}
        for prompt, tokens, fit in zip(ids, wanted, fits, strict=True):
            for choice in tokens if fit else ():
                for at, token in enumerate(choice):
                    asked.setdefault(prompt + choice[:at], set()).add(token)
        known = self._next_tokens(asked)
        return [
            tuple(
                sum(known[prompt + choice[:at]][token] for at, token in enumerate(choice))
                for choice in tokens
            )
            if fit
            else self._too_long(len(prompt))
            for prompt, tokens, fit in zip(ids, wanted, fits, strict=True)
        ]

    def weigh(self, prompts: Sequence[Prompt], words: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The log-probability with which the reply begins with each word, as `Weighing` says."""
        from vllm import SamplingParams

        ids = [self._encoder.ids(prompt) for prompt in prompts]
        fits = [one for one in ids if len(one) < self._longest]
        options = [
            SamplingParams(
                max_tokens=min(steps_for(words), self._longest - len(one)), temperature=0, logprobs=LIKELIEST
            )
            for one in fits
        ]
        found = iter(self._llm.generate([*map(given, fits)], options, use_tqdm=False) if fits else [])
        return [
            begun_with(words, self._steps(next(found)))
            if len(one) < self._longest
            else self._too_long(len(one))
            for one in ids
        ]

    def _steps(self, found: RequestOutput) -> list[Step]:
        """What was written, and what might have been; an ending says nothing."""
        out, special = found.outputs[0], set(self._encoder.tokenizer.all_special_ids)

        def text(token: int) -> str:
            return "" if token in special else str(self._encoder.tokenizer.convert_ids_to_tokens(token))

        return [
            Step(
                text(token),
                at[token].logprob,
                [
                    (text(each), told.logprob)
                    for each, told in at.items()
                    if told.rank is not None and told.rank <= LIKELIEST
                ],
            )
            for token, at in zip(out.token_ids, out.logprobs, strict=True)
        ]

    def rows(self, prompts: Sequence[Prompt], most: int) -> list[tuple[tuple[int, ...], int]]:
        """Each prompt by itself: vLLM finds by itself what they share."""
        return [((at,), tokens) for at, tokens in enumerate(self.lengths(prompts))]

    def decide(
        self, rows: Sequence[Sequence[Prompt]], choices: Sequence[str]
    ) -> list[list[tuple[float, ...] | Failure]]:
        """For each prompt of each row each choice's log-probability, that of all its forms together.

        A choice that is no single token is weighed as the model would write it.
        """
        forms = [self._encoder.forms(choice) for choice in choices]
        prompts = [prompt for row in rows for prompt in row]
        if not all(forms):
            found = iter(self.score(prompts, choices))
            return [[next(found) for _ in row] for row in rows]
        ids = [self._encoder.ids(prompt) for prompt in prompts]
        fits = {one for one in ids if len(one) < self._longest}
        every = [token for some in forms for token in some]
        known = self._next_tokens({one: set(every) for one in ids if one in fits})

        def weighed(one: tuple[int, ...]) -> tuple[float, ...] | Failure:
            if one not in fits:
                return self._too_long(len(one))
            return summed([known[one][token] for token in every], forms)

        scores = iter([weighed(one) for one in ids])
        return [[next(scores) for _ in row] for row in rows]

    def why_singly(self, most: int, choices: Sequence[str]) -> str:
        """Nothing is read twice."""
        return ""

    @property
    def _longest(self) -> int:
        return int(self._llm.llm_engine.vllm_config.model_config.max_model_len)

    def _too_long(self, tokens: int) -> Failure:
        return Failure(f"its prompt has {tokens:,} tokens, and vLLM's max_model_len is {self._longest:,}")

    def _next_tokens(self, asked: dict[tuple[int, ...], set[int]]) -> dict[tuple[int, ...], dict[int, float]]:
        """The log-probabilities of some tokens after each sequence."""
        from vllm import SamplingParams

        sequences = list(asked)
        options = [
            SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=sorted(asked[one]))
            for one in sequences
        ]
        found = self._llm.generate([*map(given, sequences)], options, use_tqdm=False) if sequences else []
        return {
            sequence: {token: one.outputs[0].logprobs[0][token].logprob for token in asked[sequence]}
            for sequence, one in zip(sequences, found, strict=True)
        }

    def _reply(self, found: RequestOutput, prompt_tokens: int, likeliest: int = 0) -> Reply:
        out = found.outputs[0]
        tokenizer = self._encoder.tokenizer
        logprobs = tuple(at[token].logprob for token, at in zip(out.token_ids, out.logprobs, strict=True))
        stop: StopReason = "length"
        if out.finish_reason == "stop":
            stop = "stop" if isinstance(out.stop_reason, str) else "end"
        tokens = tuple(out.token_ids[:-1] if stop == "end" else out.token_ids)
        text, offsets = generated_offsets("", tokens, tokenizer)
        if stop == "stop":
            text = text[: text.index(out.stop_reason)]
            tokens = tokens[: sum(begin < len(text) for begin, _ in offsets)]
        kept = len(tokens) + (stop == "end")
        return Reply(
            text,
            stop,
            prompt_tokens,
            tokens,
            tuple(tokenizer.convert_ids_to_tokens(list(tokens))),
            tuple((begin, min(end, len(text))) for begin, end in offsets[: len(tokens)]),
            logprobs[:kept],
            likeliest=told(tokens, _likeliest(out.logprobs, likeliest), tokenizer) if likeliest else (),
        )


def _likeliest(logprobs: Sequence[Mapping[int, Logprob]], count: int) -> list[list[tuple[int, float]]]:
    """Of each place so many tokens and their logarithms, the greatest first; the one taken comes beside."""
    ranked = [sorted((one.rank or 0, token, one.logprob) for token, one in each.items()) for each in logprobs]
    return [[(token, logprob) for _, token, logprob in some[:count]] for some in ranked]


class _Runner(Protocol):
    """The part of a worker of vLLM that has the model."""

    device: torch.device
    model: nn.Module
    kv_caches: list[Tensor]


class _Worker(Protocol):
    model_runner: _Runner


def _held(worker: _Worker) -> dict[str, int]:
    """What a worker of vLLM holds."""
    runner = worker.model_runner
    held = {"kv_cache": sum(tensor.nbytes for tensor in runner.kv_caches)}
    if runner.device.type != "cpu":
        held["weights"] = sum(tensor.nbytes for tensor in runner.model.parameters())
    return held
