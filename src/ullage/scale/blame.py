"""What partitions that end actors are known for: how often each did, and which line of it is to blame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ullage.errors import InputError
from ullage.records.parts import Parts
from ullage.scale.bisection import DEATHS, Bisection, Found
from ullage.scale.waiting import Task

NODES: Final = 3
"""Nodes that are lost count as one actor that ended by itself: they come and go, whatever was done there."""
REASON: Final = f"whatever did this record alone ended, {DEATHS} times"
"""Of a rejection."""


@dataclass(slots=True)
class Blame:
    """`deaths` counts actors that ended at a partition since anything was last found out about it, each NODES
    times where its node was not lost; `cleared` are partitions of which no line alone ends actors. Those of
    an earlier driver's actors count: all is noted in the run's folder.

    Every method raises InputError, which begins with `on`, where a partition cannot be done.
    """

    on: str
    parts: Parts
    say: Callable[[str], None]
    _deaths: Counter[int] = field(default_factory=Counter)
    _searches: dict[int, Bisection] = field(default_factory=dict)
    _cleared: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for each in self.parts.attempts():
            what, number = each.get("what"), each.get("partition")
            if not isinstance(number, int):
                continue
            if what == "lost":
                self._deaths[number] += 1 if each.get("unreachable") else NODES
            elif what in ("rejected", "cleared"):
                del self._deaths[number]
            if what == "cleared":
                self._cleared.add(number)

    def lost(self, number: int, actor: str, why: str, unreachable: bool) -> Task:
        """An actor ended at a partition: once as many did as are borne, its lines are tried."""
        facts = {"unreachable": True} if unreachable else {}
        self.parts.note("lost", number, actor=actor, why=why, **facts)
        self._deaths[number] += 1 if unreachable else NODES
        if self._deaths[number] < DEATHS * NODES:
            return Task(number)
        part = self.parts.part(number)
        lines = range(part.line + 1, part.line + part.lines + 1)
        if number in self._cleared:
            raise InputError(
                f"{self.on}: partition {number} (lines {lines[0]:,} to {lines[-1]:,} of the input) "
                f"ended {DEATHS} actors, and {DEATHS} more after no line of it alone did: {why}"
            )
        self.say(f"partition {number} ended {DEATHS} actors: its lines are tried")
        self._searches[number] = Bisection(lines)
        return Task(number, self._searches[number].trial)

    def lived(self, number: int) -> Task:
        """Whoever tried lines of a partition lived."""
        return self._told(number, self._searches[number].lived())

    def died(self, number: int) -> Task:
        """Whoever tried lines of a partition died."""
        return self._told(number, self._searches[number].died())

    def _told(self, number: int, found: Found) -> Task:
        """What a trial of a partition says of it."""
        search = self._searches[number]
        if found == "nothing yet":
            return Task(number, search.trial)
        del self._searches[number], self._deaths[number]
        if found == "no line at all":
            raise InputError(
                f"{self.on}: partition {number} ended {DEATHS} actors without any of its records: "
                "what it does beside them (models, a judge's known answers) does not run there"
            )
        if found == "it is the line":
            (line,) = search.suspects
            self.parts.reject(line, REASON)
            self.parts.note("rejected", number, line=line)
            self.say(f"line {line:,} of the input is rejected: {REASON}")
        else:
            self._cleared.add(number)
            self.parts.note("cleared", number)
            self.say(f"no line of partition {number} alone ends actors: it is done again")
        return Task(number)
