"""A whole trace from one in which few layers ran: turns of those that did not are said after their like.

It is the trace of all layers, event by event, but for the order in which a cache goes once all is over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from ullage.tracing.alike import Few, Mark, NotAlikeError
from ullage.tracing.storages import Event, Made


class _Turn(NamedTuple):
    """What happens from one mark to the next."""

    turn: int
    layer: int
    runs: bool
    events: Sequence[Event]


Place = tuple[int, int]
"""A pass and a layer."""


@dataclass(slots=True)
class Stretched:
    """Says events again for layers that did not run. `paths` are the module paths of all layers.

    Invariant: a storage that is said to go has been said to come. `copies` are the numbers of what stands in
    each layer for a storage of its like; `carried` what the last turn has left to the next one, in the order
    in which it came.
    """

    few: Few
    paths: Sequence[str]
    made: dict[int, Made]
    events: list[Event] = field(default_factory=list)
    _copies: dict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    _born: dict[int, Place] = field(default_factory=dict)
    _left: dict[Place, list[int]] = field(default_factory=lambda: defaultdict(list))
    _carried: list[int] = field(default_factory=list)
    _sizes: dict[int, int] = field(default_factory=dict)
    _next: int = 0

    def stretch(self, events: Sequence[Event], marks: Sequence[Mark]) -> None:
        """Fills `events`. Raises NotAlikeError where layers of a kind took turns that differ."""
        turns = list(_turns(events, marks))
        self._prove(turns)
        self._survey(events, turns)
        first = marks[0].event if marks else len(events)
        for event in events[:first]:
            self._plain(event)
        templates = {(each.turn, each.layer): each for each in turns if each.runs}
        before: _Turn | None = None
        for each in turns:
            if each.runs:
                self._said(each, before)
                self._carried = list(self._left[each.turn, each.layer])
                before = each
            else:
                self._copied(each, templates[each.turn, self.few.like[each.layer]])

    def _prove(self, turns: Sequence[_Turn]) -> None:
        by_place = {(each.turn, each.layer): [event.bytes for event in each.events] for each in turns}
        for turn in {each.turn for each in turns}:
            for one, other in self.few.proofs:
                if by_place.get((turn, one)) != by_place.get((turn, other)):
                    raise NotAlikeError

    def _survey(self, events: Sequence[Event], turns: Sequence[_Turn]) -> None:
        """Where storages were born, and what each turn left to the next layer that ran."""
        self._next = max((event.storage for event in events), default=0)
        self._sizes = {event.storage: event.bytes for event in events if event.bytes > 0}
        gone: dict[int, Place] = {}
        for each in turns:
            for event in each.events:
                where = self._born if event.bytes > 0 else gone
                where[event.storage] = each.turn, each.layer
        ran = [each for each in turns if each.runs]
        for one, following in pairwise(ran):
            if following.turn == one.turn:
                here, there = (one.turn, one.layer), (following.turn, following.layer)
                self._left[here] = [
                    s for s, born in self._born.items() if born == here and gone.get(s) == there
                ]

    def _said(self, turn: _Turn, before: _Turn | None) -> None:
        """A turn as it was; what an earlier layer left, which others would have freed, is theirs now."""
        left = [] if before is None else self._left[before.turn, before.layer]
        for event in turn.events:
            if event.bytes < 0 and event.storage in left and self._carried:
                self._go(self._carried[left.index(event.storage)], event)
            else:
                self._plain(event, turn.layer)

    def _plain(self, event: Event, layer: int | None = None) -> None:
        """An event as it was, in a layer's turn; copies of a storage go with it unless it went in the turn of
        its own layer, as they do."""
        self.events.append(event)
        born = self._born.get(event.storage)
        if event.bytes < 0 and born is not None and born[1] != layer:
            for numbers in self._copies.values():
                if event.storage in numbers:
                    self._go(numbers.pop(event.storage), event)

    def _copied(self, turn: _Turn, like: _Turn) -> None:
        """A turn that another stands for."""
        copies = self._copies[turn.layer]
        left = self._left[like.turn, like.layer - 1]
        if len(left) != len(self._carried):
            raise NotAlikeError
        for event in like.events:
            if event.bytes > 0:
                self._next += 1
                copies[event.storage] = self._next
                made = self.made[event.storage]
                path = made.module.replace(self.paths[like.layer], self.paths[turn.layer], 1)
                self.made[self._next] = made._replace(module=path)
                self._sizes[self._next] = event.bytes
                self.events.append(event._replace(storage=self._next))
            elif event.storage in copies:
                self._go(copies.pop(event.storage), event)
            elif event.storage in left:
                self._go(self._carried[left.index(event.storage)], event)
            else:
                raise NotAlikeError
        self._carried = [copies.pop(storage) for storage in self._left[like.turn, like.layer]]

    def _go(self, number: int, event: Event) -> None:
        if self._sizes[number] != -event.bytes:
            raise NotAlikeError
        self.events.append(event._replace(storage=number))


def stretched(
    events: Sequence[Event], made: Mapping[int, Made], marks: Sequence[Mark], few: Few, paths: Sequence[str]
) -> tuple[list[Event], dict[int, Made]]:
    """The events of all layers, and what their storages were made for; `marks` count from the first event.

    Raises NotAlikeError where that is not exact.
    """
    whole = Stretched(few, paths, dict(made))
    whole.stretch(events, marks)
    return whole.events, whole.made


def _turns(events: Sequence[Event], marks: Sequence[Mark]) -> Iterator[_Turn]:
    ends = [mark.event for mark in marks[1:]] + [len(events)]
    for mark, end in zip(marks, ends, strict=True):
        yield _Turn(mark.turn, mark.layer, mark.runs, events[mark.event : end])
