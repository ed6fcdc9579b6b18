"""How long the prompts of a run are beside what was planned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ullage.engines.engine import Prompt
from ullage.errors import InputError
from ullage.kinds.evaluate.questions import Question


@dataclass(slots=True)
class Longest:
    """The longest prompt `found`, and how long one may be that is `planned`, in tokens."""

    planned: int
    found: int = 0

    def checked(
        self, measured: Iterator[tuple[tuple[Question, Prompt], int]]
    ) -> Iterator[tuple[tuple[Question, Prompt], int]]:
        """Each with its length. Raises InputError for one that is longer than planned."""
        for (question, prompt), length in measured:
            if length > self.planned:
                raise InputError(
                    f"evaluate.input: question {question.id!r}: its prompt has {length:,} tokens, the "
                    f"plan is for prompt_tokens: {self.planned:,}; raise it"
                )
            self.found = max(self.found, length)
            yield (question, prompt), length
