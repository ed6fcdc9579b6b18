"""Generation and scoring by a server that speaks OpenAI's protocol: vLLM, llama.cpp, a hosted model."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from ullage.engines.engine import Failure, Message, Prompt, Reply, Sampling, StopReason, Usage
from ullage.engines.forms import LIKELIEST, Step, begun_with, steps_for
from ullage.errors import EngineError
from ullage.text import keep_secret, one_line

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletion
    from openai.types.chat.chat_completion_token_logprob import TopLogprob

    from ullage.engines.openai import Settings

Result = TypeVar("Result")


class _Options(TypedDict, total=False):
    """What a request says beside model and messages."""

    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    stop: list[str]
    logprobs: bool
    top_logprobs: int


class OpenAIEngine:
    """A model behind an address. Requests of a batch go out side by side, as many as `settings` allow.

    The key is read from the environment and never written anywhere. A request that fails after its retries
    becomes a Failure in its place; what no retry can mend (a wrong key, an unknown model) is an EngineError.
    """

    def __init__(self, model: str, settings: Settings) -> None:
        import openai

        key = os.environ.get(settings.key_env)
        if not key and settings.base_url is None:
            raise EngineError(
                f"{model}: no key: set the environment variable {settings.key_env}, or base_url of a server "
                "that needs none"
            )
        if key:
            keep_secret(key)
        self._model, self._settings = model, settings
        self._client: OpenAI = openai.OpenAI(
            api_key=key or "none",
            base_url=settings.base_url,
            timeout=settings.timeout_seconds,
            max_retries=settings.retries,
        )
        self._pace = _Pace(settings.requests_per_minute)
        self._counting = threading.Lock()
        self.usage = Usage()

    def lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """About how many tokens each prompt has: a quarter of its characters. The server alone knows."""
        return [1 + sum(len(said["content"]) for said in _messages(prompt)) // 4 for prompt in prompts]

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Reply | Failure]:
        """A reply to each prompt; entropies are not known, log-probabilities where the server gives them."""

        def ask(prompt: Prompt, seed: int) -> Reply:
            options: _Options = {
                "max_tokens": sampling.new_tokens,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "seed": seed,
            }
            if self._settings.logprobs:
                options["logprobs"] = True
            if sampling.stop:
                options["stop"] = list(sampling.stop)
            return _reply(self._ask(prompt, **options))

        return self._side_by_side(
            [partial(ask, prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        )

    def score(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The log-probability that the reply's first token begins each choice, among the 20 likeliest.

        A choice beyond those has minus infinity; when none is among them, the prompt is a Failure.
        """

        def ask(prompt: Prompt) -> tuple[float, ...]:
            answer = self._ask(prompt, max_tokens=1, temperature=0, logprobs=True, top_logprobs=LIKELIEST)
            content = answer.choices[0].logprobs.content if answer.choices[0].logprobs else None
            if not content:
                raise _Unusable("the server gives no log-probabilities")
            found = tuple(_begins(choice, content[0].top_logprobs) for choice in choices)
            if max(found) == -math.inf:
                raise _Unusable(f"none of {', '.join(choices)} is among the {LIKELIEST} likeliest tokens")
            return found

        return self._side_by_side([partial(ask, prompt) for prompt in prompts])

    def weigh(self, prompts: Sequence[Prompt], words: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The log-probability with which the reply begins with each word, as `Weighing` says."""

        def ask(prompt: Prompt) -> tuple[float, ...]:
            answer = self._ask(
                prompt,
                max_tokens=steps_for(words),
                temperature=0,
                logprobs=True,
                top_logprobs=LIKELIEST,
            )
            content = answer.choices[0].logprobs.content if answer.choices[0].logprobs else None
            if not content:
                raise _Unusable("the server gives no log-probabilities")
            steps = [
                Step(one.token, one.logprob, [(each.token, each.logprob) for each in one.top_logprobs])
                for one in content
            ]
            return begun_with(words, steps)

        return self._side_by_side([partial(ask, prompt) for prompt in prompts])

    def _ask(self, prompt: Prompt, **options: Unpack[_Options]) -> ChatCompletion:
        """One request. Raises _Unusable for an answer that is none, EngineError for what stays wrong."""
        import openai

        for left in range(self._settings.retries, -1, -1):
            self._pace.wait()
            try:
                messages: Any = _messages(prompt)
                answer = self._client.chat.completions.create(model=self._model, messages=messages, **options)
                if not answer.choices:
                    raise ValueError("no choices")
                break
            except (
                openai.AuthenticationError,
                openai.PermissionDeniedError,
                openai.NotFoundError,
                openai.BadRequestError,
            ) as error:
                raise EngineError(f"{self._model}: the server refuses: {_said(error)}") from error
            except openai.APIError as error:
                raise _Unusable(_said(error)) from error
            except (
                ValueError,
                AttributeError,
                TypeError,
            ) as error:  # an answer that is not what it should be
                if not left:
                    raise _Unusable(f"the server's answer is not a completion: {_said(error)}") from error
        with self._counting:
            self.usage.requests += 1
            if answer.usage is not None:
                self.usage.prompt_tokens += answer.usage.prompt_tokens
                self.usage.new_tokens += answer.usage.completion_tokens
        return answer

    def _side_by_side(self, asks: Sequence[Callable[[], Result]]) -> list[Result | Failure]:
        def one(ask: Callable[[], Result]) -> Result | Failure:
            try:
                return ask()
            except _Unusable as error:
                return Failure(str(error))

        pool = ThreadPoolExecutor(self._settings.concurrency)
        try:
            return list(pool.map(one, asks))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt waits for no answer


class _Unusable(Exception):
    """One prompt got no usable answer."""


class _Pace:
    """Lets through at most so many calls a minute, evenly spaced, from any thread."""

    def __init__(self, per_minute: int | None) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._gap
        time.sleep(max(begin - now, 0.0))


def _messages(prompt: Prompt) -> list[Message]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)


def _reply(answer: ChatCompletion) -> Reply:
    choice = answer.choices[0]
    text = choice.message.content or ""
    content = (choice.logprobs.content if choice.logprobs else None) or []
    pieces = tuple(one.token for one in content)
    offsets, at = [], 0
    for piece in pieces:
        offsets.append((min(at, len(text)), min(at + len(piece), len(text))))
        at += len(piece)
    stop: StopReason = "length" if choice.finish_reason == "length" else "end"
    return Reply(
        text,
        stop,
        answer.usage.prompt_tokens if answer.usage is not None else 0,
        (),
        pieces,
        tuple(offsets),
        tuple(one.logprob for one in content),
    )


def _begins(choice: str, alternatives: Sequence[TopLogprob]) -> float:
    """The log-probability of all tokens that are the beginning of `choice`, white space and case apart."""
    wanted = choice.strip().casefold()
    heads = [
        one.logprob for one in alternatives if (t := one.token.strip().casefold()) and wanted.startswith(t)
    ]
    return math.log(sum(map(math.exp, heads))) if heads else -math.inf


def _said(error: Exception) -> str:
    """What went wrong, in one line and without the text of a prompt."""
    status = getattr(error, "status_code", None)
    text = one_line(" ".join(str(error).split()))[:200]
    return f"{type(error).__name__}" + (f" (HTTP {status})" if status else f": {text}" if text else "")
