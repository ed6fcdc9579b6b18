"""The protocol of whoever watches a model while it writes or weighs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

from ullage.capture.coverage import Coverage


class Observer(Protocol):
    """Told of each forward pass over a batch: `capture.listener.Listener` is one, a probe may be another.

    Sequences are numbered as the prompts were given. A pass covers a whole prompt, a chunk of it, what
    follows a beginning that is in the cache already, or one token of each sequence still being written.
    """

    @property
    def needs_all(self) -> bool:
        """Whether every position must be seen: nothing is then taken from what an earlier batch has read."""

    @property
    def side_by_side(self) -> bool:
        """Whether keys of a sequence must stand in neighbouring columns, with no padding between."""

    @property
    def to_the_end(self) -> bool:
        """Whether the last token that is written must be read too, which nothing else asks for."""

    def during(self, coverage: Coverage) -> AbstractContextManager[None]:
        """Entered before the pass that reads `coverage`, and left after it."""

    def ended(self, sequences: Sequence[tuple[int, ...]], prompt_tokens: Sequence[int]) -> None:
        """Told once a batch is done: every id of each sequence, and how many of them were its prompt.

        The last id of a sequence that was written was chosen, and is read for those alone who listen to the
        end; what ends a reply never is.
        """


@runtime_checkable
class Observable(Protocol):
    """An engine that lets its model be watched."""

    def observed(self, observer: Observer) -> AbstractContextManager[None]:
        """Inside, `observer` is told of every batch that is written or weighed; there should be one."""


def observed(observer: Observer | None, coverage: Coverage) -> AbstractContextManager[None]:
    """The pass that runs inside, told to the observer there is."""
    return nullcontext() if observer is None else observer.during(coverage)
