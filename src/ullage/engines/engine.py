"""The protocol of an engine, and the values that go through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

Message = dict[str, str]
"""`role` and `content`, as chat templates take them."""
Chat = tuple[Message, ...]
Prompt = str | Chat
Pair = tuple[str, str]
"""Two texts that are read together."""
StopReason = Literal["end", "stop", "length"]
"""The model ended its reply; a stop sequence was met; `new_tokens` were reached."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How replies are made. Temperature 0 takes the likeliest token.

    A reply depends on its own seed alone, not on the batch it is in.
    """

    new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What followed a prompt.

    `tokens` are ids without the one that ended the reply (none where the engine knows no ids), `pieces`
    their texts, `offsets` their characters [begin, end) in `text`. `logprobs` are natural logarithms of each
    token's probability under the model itself, at temperature 1; `entropies` those of its whole distribution,
    in nats, where the engine has it. Where the model ended its reply both have one entry more, the ending's.
    `likeliest` are for each token the likeliest in its place, if they were asked for: texts that would have
    been added, a special token's own name, and their logarithms, the greatest first.
    """

    text: str
    stop: StopReason
    prompt_tokens: int
    tokens: tuple[int, ...] = ()
    pieces: tuple[str, ...] = ()
    offsets: tuple[tuple[int, int], ...] = ()
    logprobs: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()
    likeliest: tuple[tuple[tuple[str, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """One more token of a reply, and the text that is certain with it.

    Of a character that takes several tokens the last one has it, and the others have no text.
    """

    token: int
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A prompt that a remote engine gave no usable reply to, and why. Its place is kept."""

    reason: str


class Engine(Protocol):
    """`generate` and `score` take one batch, and give one result for each prompt, in order."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Reply | Failure]:
        """A reply to each prompt, by the chance of its own seed."""

    def score(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """The natural logarithm of the probability that a prompt goes on with each of `choices`.

        Raises UnsupportedError where the engine cannot know probabilities.
        """

    def lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt, about where the engine does not know."""


@dataclass(slots=True)
class Usage:
    """What a server was asked for: requests, and tokens as it counted them."""

    requests: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0


@runtime_checkable
class Metered(Protocol):
    """An engine that counts what it asks a server for."""

    usage: Usage


@runtime_checkable
class Weighing(Protocol):
    """An engine that weighs words as the beginnings of its reply, by the rule that all of them share."""

    def weigh(self, prompts: Sequence[Prompt], words: Sequence[str]) -> list[tuple[float, ...] | Failure]:
        """For each prompt each word's log-probability, that of all its forms together.

        Of the 20 likeliest tokens those count that are the word, whatever their case and the white space
        around it; of a word of several tokens the last, where the likeliest reply has the others. Minus
        infinity where that is none.
        """


@runtime_checkable
class Deciding(Protocol):
    """An engine that weighs a choice in all forms it may be written in, and reads once what prompts share."""

    def rows(self, prompts: Sequence[Prompt], most: int) -> list[tuple[tuple[int, ...], int]]:
        """Which of the prompts, in order, make up rows of up to `most` tokens; each row's tokens."""

    def decide(
        self, rows: Sequence[Sequence[Prompt]], choices: Sequence[str]
    ) -> list[list[tuple[float, ...] | Failure]]:
        """For each prompt of each row each choice's log-probability, that of all its forms together."""

    def why_singly(self, most: int, choices: Sequence[str]) -> str:
        """Why rows of up to `most` tokens hold one prompt each; "" where they may hold several."""


@runtime_checkable
class Reading(Protocol):
    """An engine that reads what was written already."""

    def read(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[Reply]:
        """One pass over each prompt and the text after it, as if that were the reply; without logprobs."""


@runtime_checkable
class Streaming(Protocol):
    """An engine that gives a reply piece by piece, and may keep what it has read for the next one."""

    def stream(self, prompt: Prompt, sampling: Sampling, seed: int) -> Iterator[Piece | Reply]:
        """A piece for each token as soon as its text is certain, then the reply, whose text they make up.

        Nothing is given that a stop sequence may still take back. Left before its end, it writes no more.
        """

    def forget(self) -> None:
        """Gives up what is kept of earlier replies."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt of several that are answered together; without `pieces` its reply alone is given.

    The reply goes on from `begins`, which is read after the prompt and is no part of it. It tells so many
    `likeliest` tokens of each place.
    """

    prompt: Prompt
    new_tokens: int
    seed: int = 0
    pieces: bool = False
    begins: str = ""
    likeliest: int = 0


@runtime_checkable
class Collating(Protocol):
    """An engine that writes several replies side by side and gives each as it comes."""

    def write(
        self, asks: Sequence[Ask], sampling: Sampling, gone: Callable[[int], bool]
    ) -> Iterator[list[tuple[int, Piece | Reply]]]:
        """Whenever all replies have grown by a token, what has come of which; of each its reply at last.

        `sampling.new_tokens` is the most of any. The reply to an ask that is `gone`, which is looked at then,
        ends with what it has.
        """


@runtime_checkable
class Comparing(Protocol):
    """An engine that reads two texts together and scores what they are to one another."""

    def pair_lengths(self, pairs: Sequence[Pair]) -> list[int]:
        """Tokens of each pair, the special ones that stand around its texts too."""

    def compare(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        """For each pair of one batch the logit of each of the model's labels, in its order."""


@runtime_checkable
class Embedding(Protocol):
    """An engine that gives the final states of prompts."""

    def embed(self, prompts: Sequence[Prompt], batch: int) -> Tensor:
        """(prompts, width), each of length 1, fp32 on the host; so many texts at once."""
