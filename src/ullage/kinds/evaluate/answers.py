"""An answer as a run keeps it: text, tokens with their places, probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ullage.engines.engine import Failure, Reply
from ullage.workloads.thoughts import after_thoughts

DIGITS = 6
"""Decimals of kept log-probabilities and entropies; a model in 16 bits gives three."""
STILL_THINKING = "it was still thinking when its answer ended; give it more new_tokens"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to question `index`; `sample` 0 is the greedy one. `failed` says why there is none;
    `probes` are the scores of the whole answer by probe.

    `logprobs` and `entropies` have one entry more than `tokens` where the model ended the answer itself.
    """

    index: int
    sample: int
    text: str = ""
    stop: str = ""
    prompt_tokens: int = 0
    tokens: tuple[int, ...] = ()
    pieces: tuple[str, ...] = ()
    offsets: tuple[tuple[int, int], ...] = ()
    logprobs: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()
    failed: str = ""
    probes: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Tokens written, or words where the engine tells no tokens."""
        return len(self.pieces) or len(self.text.split())

    @property
    def told(self) -> str:
        """What is answered: the text without the thoughts that it begins with."""
        return "" if self.failed else after_thoughts(self.text) or ""


def answer_row(index: int, sample: int, reply: Reply | Failure) -> dict[str, object]:
    """A reply as JSON; one that ended among its thoughts is no answer, and is not asked for again."""
    if isinstance(reply, Failure):
        return {"index": index, "sample": sample, "failed": reply.reason}
    over = after_thoughts(reply.text) is not None
    return ({} if over else {"failed": STILL_THINKING, "asked": False}) | {
        "index": index,
        "sample": sample,
        "text": reply.text,
        "stop": reply.stop,
        "prompt_tokens": reply.prompt_tokens,
        "tokens": reply.tokens,
        "pieces": reply.pieces,
        "offsets": reply.offsets,
        "logprobs": [round(one, DIGITS) for one in reply.logprobs],
        "entropies": [round(one, DIGITS) for one in reply.entropies],
    }


def left_out_row(index: int, sample: int, reason: str) -> dict[str, object]:
    """The row of a question that nobody may be asked, ever."""
    return {"index": index, "sample": sample, "failed": reason, "asked": False}


def tokens_of(reply: Reply | Failure) -> int:
    """Tokens that were read and written for a reply, as far as the engine knows."""
    return 0 if isinstance(reply, Failure) else reply.prompt_tokens + len(reply.tokens or reply.pieces)


def read_answer(row: Mapping[str, Any]) -> Answer:
    """What `answer_row` wrote."""
    return Answer(
        row["index"],
        row["sample"],
        row.get("text", ""),
        row.get("stop", ""),
        row.get("prompt_tokens", 0),
        tuple(row.get("tokens", ())),
        tuple(row.get("pieces", ())),
        tuple((begin, end) for begin, end in row.get("offsets", ())),
        tuple(row.get("logprobs", ())),
        tuple(row.get("entropies", ())),
        row.get("failed", ""),
        {name: each["score"] for name, each in row.get("probes", {}).items()},
    )


def answers_by_question(
    rows: Iterable[Mapping[str, Any]], count: int, first: int = 0
) -> Iterator[list[Answer]]:
    """The `count` answers of each question from number `first` on in its turn, by sample, of rows that were
    written batch by batch.

    Rows that come before their turn wait, which are those of a window at most.
    """
    waiting: dict[int, list[Answer]] = {}
    index = first
    for row in rows:
        answer = read_answer(row)
        waiting.setdefault(answer.index, []).append(answer)
        while len(waiting.get(index, ())) == count:
            yield sorted(waiting.pop(index), key=lambda one: one.sample)
            index += 1
    last = max(waiting, default=-1)
    for left in range(index, last + 1):
        yield sorted(waiting.get(left, []), key=lambda one: one.sample)
