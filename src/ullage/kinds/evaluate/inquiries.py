"""What roles are asked about answers that there are, and what of their replies is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, Generic, TypeVar

from ullage.engines.engine import Chat, Comparing, Engine, Failure, Pair, Reply, Sampling
from ullage.engines.forms import weigh
from ullage.engines.states import Asked
from ullage.engines.turns import Row, Turns
from ullage.kinds.evaluate.answers import DIGITS
from ullage.kinds.evaluate.meaning import log_softmax
from ullage.kinds.evaluate.phases import SCORE
from ullage.workloads.judgement import mass_of

NO_NUMBERS: Final = "its scores are no numbers: the model overflows in this precision"
Put = TypeVar("Put", Chat, Pair)


@dataclass(frozen=True, slots=True)
class Inquiry(Generic[Put]):
    """What a role is asked about an answer: `key` is its question's number, or that and two texts. Where
    there is no answer nothing is asked, and `unanswered` says why not."""

    key: int | tuple[int, str, str]
    about: Asked
    put: Put
    unanswered: str = ""


@dataclass(frozen=True, slots=True)
class Inquiries:
    """Puts inquiries to the engine of role `name`, in the phase of `verb`; each has one row in the file of a
    stage. There are `of_each` about a question; 0: nobody knows how many."""

    turns: Turns
    engine: Engine
    name: str
    verb: str = SCORE
    of_each: int = 1

    def weigh(self, stage: str, asked: Iterator[Inquiry[Chat]], words: Sequence[str], total: int) -> None:
        """How probable each word is, in all its forms, and all together."""

        def work(batch: Sequence[Chat]) -> list[Row]:
            return [
                {"failed": one.reason}
                if isinstance(one, Failure)
                else {**_scores(one), "mass": round(mass_of(one), DIGITS)}
                for one in weigh(self.engine, batch, words)
            ]

        self._each(stage, asked, work, total, self.engine.lengths)

    def score(self, stage: str, asked: Iterator[Inquiry[Chat]], choices: Sequence[str], total: int) -> None:
        """How probable each choice is, written just so."""

        def work(batch: Sequence[Chat]) -> list[Row]:
            found = self.engine.score(batch, choices)
            return [{"failed": one.reason} if isinstance(one, Failure) else _scores(one) for one in found]

        self._each(stage, asked, work, total, self.engine.lengths)

    def infer(self, stage: str, asked: Iterator[Inquiry[Pair]], labels: Sequence[str], total: int) -> None:
        """How probable each of an encoder's labels is of two texts."""
        engine = self.engine
        assert isinstance(engine, Comparing)

        def work(batch: Sequence[Pair]) -> list[Row]:
            return [_inferred(labels, logits) for logits in engine.compare(batch)]

        self._each(stage, asked, work, total, engine.pair_lengths)

    def write(self, stage: str, asked: Iterator[Inquiry[Chat]], sampling: Sampling, total: int) -> None:
        """What the role says."""

        def work(batch: Sequence[Chat]) -> list[Row]:
            replies = self.engine.generate(batch, sampling, [0] * len(batch))
            self.turns.session.tokens += sum(len(each.pieces) for each in replies if isinstance(each, Reply))
            return [
                {"failed": one.reason} if isinstance(one, Failure) else {"text": one.text, "stop": one.stop}
                for one in replies
            ]

        self._each(stage, asked, work, total, self.engine.lengths)

    def _each(
        self,
        stage: str,
        asked: Iterator[Inquiry[Put]],
        work: Callable[[Sequence[Put]], list[Row]],
        total: int,
        lengths: Callable[[Sequence[Put]], list[int]],
    ) -> None:
        """`work` over prompts; each row gets its prompt and the prompt's key.

        A prompt longer than the plan's is not read, and where there is no answer nothing is asked: the row
        says so.
        """
        turns, session = self.turns, self.turns.session
        phase, most = session.phase(self.name, self.verb), turns.longest(self.name, self.verb)

        def unit(batch: Sequence[tuple[int, tuple[Inquiry[Put], int]]]) -> list[Row]:
            fits = [(item, one) for item, (one, length) in batch if length <= most and not one.unanswered]
            with turns.states.listening(self.engine, phase, stage, [one.about for _, one in fits]):
                done = work([one.put for _, one in fits]) if fits else []
            found = {item: row for (item, _), row in zip(fits, done, strict=True)}
            session.tokens += sum(length for item, (_, length) in batch if item in found)
            return [
                {
                    **(found[item] if item in found else _not_asked(one, length, most)),
                    "key": one.key,
                    "prompt": () if one.unanswered else one.put,
                }
                for item, (one, length) in batch
            ]

        def lengths_of(some: Sequence[Inquiry[Put]]) -> list[int]:
            put = [one.put for one in some if not one.unanswered]
            found = iter(lengths(put) if put else ())
            return [0 if one.unanswered else next(found) for one in some]

        measured = turns.measured(lengths_of, asked)
        items = (((one, length), length) for one, length in measured)
        turns.work(stage, self.name, self.verb, items, unit, total=total, of_each=self.of_each)


def _scores(found: tuple[float, ...]) -> Row:
    """Log-probabilities as JSON, which has no infinity: null is minus that."""
    return {"scores": [one if isfinite(one) else None for one in found]}


def _inferred(labels: Sequence[str], logits: Sequence[float]) -> Row:
    """The natural logarithm of each label's probability."""
    if not all(map(isfinite, logits)):
        return {"failed": NO_NUMBERS, "asked": False}
    found = log_softmax(logits)
    return {"labels": {label: round(one, DIGITS) for label, one in zip(labels, found, strict=True)}}


def _not_asked(one: Inquiry[Put], length: int, most: int) -> Row:
    """The row of what nobody was asked."""
    if one.unanswered:
        return {"unanswered": one.unanswered}
    return {"failed": f"its prompt has {length:,} tokens, the plan is for {most:,}", "asked": False}
