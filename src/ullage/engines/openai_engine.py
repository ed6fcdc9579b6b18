"""Generation and scoring by a server that speaks OpenAI's protocol: vLLM, llama.cpp, a hosted model."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar

from ullage.engines.completion import Completion, Scope, UnusableError, Weighed, covers, read_completion
from ullage.engines.engine import Failure, Message, Prompt, Reply, Sampling, Usage
from ullage.engines.forms import LIKELIEST, Step, begun_with, steps_for
from ullage.engines.pace import Pace, pause
from ullage.engines.words import told, words_of
from ullage.errors import EngineError, RefusedError
from ullage.text import keep_secret

if TYPE_CHECKING:
    from openai import OpenAI

    from ullage.engines.openai import Settings

Result = TypeVar("Result")
LARGEST_BODY: Final = 64 * 2**20
"""Bytes."""
PATIENCE: Final = 100
"""Prompts without any usable answer after which a server that never gave one is asked no more."""
REFUSED: Final[Mapping[int, Scope]] = {401: "all", 402: "all", 407: "all", 403: "at first", 404: "at first"}
"""What a status code says of other prompts: a key is right or wrong for all, a model there or not; but some
answer so to a single prompt that they will not read."""


class _Options(TypedDict, total=False):
    """What a request says beside model and messages."""

    max_tokens: int
    max_completion_tokens: int
    temperature: float
    top_p: float
    seed: int
    stop: list[str]
    logprobs: bool
    top_logprobs: int


class OpenAIEngine:
    """A model behind an address. Requests of a batch go out side by side, as many as `settings` allow.

    The key is read from the environment and never written anywhere. A prompt that gets no usable answer
    becomes a Failure in its place, with the server's own reason; a server that refuses every prompt (a wrong
    key, an unknown model) is a RefusedError.
    """

    def __init__(self, model: str, settings: Settings) -> None:
        import openai

        lacking = settings.lacks()
        if lacking:
            raise EngineError(f"{model}: {lacking}")
        key = os.environ.get(settings.key_env)
        if key:
            keep_secret(key)
        self._model, self._settings = model, settings
        self._client: OpenAI = openai.OpenAI(
            api_key=key or "none",
            base_url=settings.base_url,
            timeout=settings.timeout_seconds,
            max_retries=settings.retries,
        )
        self._pace = Pace(settings.requests_per_minute)
        self._counting = threading.Lock()
        self._limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
        self._logprobs = settings.logprobs
        self._answered, self._failures = False, 0
        self.usage = Usage()

    def lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """About how many tokens each prompt has: a quarter of its characters. The server alone knows."""
        return [1 + sum(len(said["content"]) for said in _messages(prompt)) // 4 for prompt in prompts]

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Reply | Failure]:
        """A reply to each prompt; entropies are not known, log-probabilities where the server gives them.
        A refusal, and what has no text, is a Failure."""

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
            return _reply(self._ask(prompt, options))

        return self._side_by_side(
            [partial(ask, prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        )

    def score(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The log-probability that the reply's first token begins each choice, among the 20 likeliest.

        A choice beyond those has minus infinity; when none is among them, the prompt is a Failure.
        """

        def ask(prompt: Prompt) -> tuple[float, ...]:
            likeliest = self._first_tokens(prompt, 1)[0].likeliest
            found = tuple(_begins(choice, likeliest) for choice in choices)
            if max(found) == -math.inf:
                raise UnusableError(f"none of {', '.join(choices)} is among the {LIKELIEST} likeliest tokens")
            return found

        return self._side_by_side([partial(ask, prompt) for prompt in prompts])

    def weigh(self, prompts: Sequence[Prompt], words: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The log-probability with which the reply begins with each word, as `Weighing` says."""

        def ask(prompt: Prompt) -> tuple[float, ...]:
            tokens = self._first_tokens(prompt, steps_for(words))
            return begun_with(words, [Step(one.token, one.logprob, one.likeliest) for one in tokens])

        return self._side_by_side([partial(ask, prompt) for prompt in prompts])

    def _first_tokens(self, prompt: Prompt, most: int) -> Sequence[Weighed]:
        """Those of the likeliest reply, each with what else it might have been. Raises UnusableError."""
        options: _Options = {
            "max_tokens": most,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": LIKELIEST,
        }
        tokens = self._ask(prompt, options, weighing=True).tokens
        if not tokens or not tokens[0].likeliest:
            raise UnusableError("the server gives no log-probabilities")
        return tokens

    def _ask(self, prompt: Prompt, options: _Options, weighing: bool = False) -> Completion:
        """One request, asked again while that may help; `weighing` needs probabilities. Raises
        UnusableError."""
        left = self._settings.retries
        messages = _messages(prompt)
        while True:
            self._pace.wait()
            sent = self._as_taken(options, weighing)
            try:
                found = read_completion(self._body(messages, sent))
                break
            except UnusableError as error:
                if self._learns(str(error), sent, weighing):
                    continue
                if not (error.again and left):
                    raise UnusableError(told(str(error), messages), scope=error.scope) from error
            pause(self._settings.retries - left)
            left -= 1
        with self._counting:
            self._answered = True
            self.usage.requests += 1
            self.usage.prompt_tokens += found.prompt_tokens
            self.usage.new_tokens += found.new_tokens
        if found.refused:
            raise UnusableError(told(found.refused, messages))
        return found

    def _as_taken(self, options: _Options, weighing: bool) -> _Options:
        """The options as this server takes them, as far as it has said so."""
        sent = options.copy()
        if self._limit == "max_completion_tokens":
            sent["max_completion_tokens"] = sent.pop("max_tokens")
        if not (self._logprobs or weighing):
            sent.pop("logprobs", None)
        return sent

    def _learns(self, refusal: str, sent: _Options, weighing: bool) -> bool:
        """Whether a refusal says that the server takes something of `sent` otherwise, and how: the limit of
        newer hosted models has another name, and some give no log-probabilities."""
        if not refusal.startswith("HTTP 4"):
            return False
        other = any(word in refusal.casefold() for word in ("instead", "unsupported", "not supported"))
        if other and "max_tokens" in sent and "max_completion_tokens" in refusal:
            self._limit = "max_completion_tokens"
            return True
        if "logprobs" in sent and "logprobs" in refusal and not weighing:
            self._logprobs = False
            return True
        return False

    def _body(self, messages: Sequence[Message], options: _Options) -> bytes:
        """What the server sends back. Raises UnusableError for a status that tells of an error, and for a
        body that is cut, too slow or too long."""
        import openai

        given: Any = messages
        create = self._client.chat.completions.with_streaming_response.create
        parts: list[bytes] = []
        size = 0
        try:
            with create(model=self._model, messages=given, **options) as response:
                latest = time.monotonic() + self._settings.timeout_seconds
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if time.monotonic() > latest:
                        seconds = f"{self._settings.timeout_seconds:g} s"
                        raise UnusableError(f"the server's answer takes longer than {seconds}", again=True)
                    if size > LARGEST_BODY:
                        raise UnusableError(f"the server's answer is longer than {LARGEST_BODY:,} bytes")
        except openai.APIStatusError as error:
            said = words_of(error.body) or words_of(error.message)
            scope = REFUSED.get(error.status_code, "one")
            raise UnusableError(f"HTTP {error.status_code}: {said}", scope=scope) from error
        except openai.APITimeoutError as error:
            seconds = f"{self._settings.timeout_seconds:g} s"
            raise UnusableError(f"Timeout: no answer within {seconds}") from error
        except openai.OpenAIError as error:
            raise UnusableError(f"no answer: {_said(error)}", scope="at first") from error
        except (UnusableError, MemoryError):
            raise
        except Exception as error:  # of whichever HTTP library the client uses, in the middle of a body
            raise UnusableError(f"the server's answer is cut: {_said(error)}", again=True) from error
        return b"".join(parts)

    def _side_by_side(self, asks: Sequence[Callable[[], Result]]) -> list[Result | Failure]:
        def one(ask: Callable[[], Result]) -> Result | UnusableError:
            try:
                return ask()
            except UnusableError as error:
                return error

        pool = ThreadPoolExecutor(self._settings.concurrency)
        try:
            found = list(pool.map(one, asks))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt waits for no answer
        self._stop_if_refused([each for each in found if isinstance(each, UnusableError)], len(found))
        return [Failure(str(each)) if isinstance(each, UnusableError) else each for each in found]

    def _stop_if_refused(self, unusable: Sequence[UnusableError], asked: int) -> None:
        """Raises RefusedError where a whole batch was refused in a way that holds for every prompt, or so
        many that nothing else is to be expected."""
        self._failures += len(unusable)
        hopeless = asked > 0 and all(
            each.scope == "all" or (each.scope == "at first" and not self._answered) for each in unusable
        )
        if (hopeless and len(unusable) == asked) or (not self._answered and self._failures >= PATIENCE):
            raise RefusedError(f"{self._model}: the server refuses: {unusable[-1]}")


def _messages(prompt: Prompt) -> list[Message]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)


def _reply(answer: Completion) -> Reply:
    """Raises UnusableError where it has no text: that is no answer, least of all an empty one."""
    if not answer.text.strip():
        spent = f", after {answer.new_tokens:,} tokens" if answer.new_tokens else ""
        why = "; raise new_tokens" if answer.stop == "length" else ""
        raise UnusableError(f"the server gives no text (it stopped by {answer.stop}{spent}){why}")
    tokens = answer.tokens if covers(answer.tokens, answer.text) else ()
    pieces = tuple(one.token for one in tokens)
    offsets, at = [], 0
    for piece in pieces:
        offsets.append((min(at, len(answer.text)), min(at + len(piece), len(answer.text))))
        at += len(piece)
    logprobs = tuple(one.logprob for one in tokens)
    return Reply(answer.text, answer.stop, answer.prompt_tokens, (), pieces, tuple(offsets), logprobs)


def _begins(choice: str, alternatives: Sequence[tuple[str, float]]) -> float:
    """The log-probability of all tokens that are the beginning of `choice`, white space and case apart."""
    wanted = choice.strip().casefold()
    heads = [
        logprob for token, logprob in alternatives if (t := token.strip().casefold()) and wanted.startswith(t)
    ]
    return math.log(sum(map(math.exp, heads))) if heads else -math.inf


def _said(error: Exception) -> str:
    """What went wrong below the protocol, in one line."""
    said = " ".join(str(error.__cause__ or error).split())
    return f"{type(error).__name__}{said and f': {said}'}"
