"""The roles of an assistant at work: each brought onto its devices as the plan has it, beside whom it has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from ullage.engines.engine import Chat, Engine, Failure, Reply, Sampling
from ullage.engines.opening import open_engine
from ullage.engines.row import seed_of
from ullage.engines.turns import Turns
from ullage.kinds.assistant.section import Section
from ullage.phases.blocks import base_work, is_local
from ullage.phases.phase import Phase, Resident
from ullage.runtime.session import Session

Opened = TypeVar("Opened")


@dataclass(frozen=True, slots=True)
class Switch:
    """A specialist was brought, and whether it had been there; `seconds` until it was."""

    to: str
    here: bool
    seconds: float


class Crew:
    """Invariant: of the specialists that take turns the one asked last is on the devices, and no other."""

    def __init__(self, turns: Turns, section: Section) -> None:
        self.turns, self.session, self._section = turns, turns.session, section
        self.switches: list[Switch] = []
        self._at_work: list[Phase | None] = []
        """What the roles at work do, one within another."""
        self._staying = set(self.session.staying())

    @property
    def busy(self) -> bool:
        """Whether a role is at work."""
        return bool(self._at_work)

    def stays(self, name: str) -> bool:
        """Whether the role's model is there from begin to end, or in no memory of ours."""
        return name in self._staying or name not in self.session.plan.roles

    @contextmanager
    def at_work(
        self, name: str, opener: Callable[[Session, str], Opened], verb: str = ""
    ) -> Iterator[Opened]:
        """Role `name`'s engine, made by `opener`; what is done inside is measured as its phase of `verb`.

        Raises what loading it raises.
        """
        session, here = self.session, name in self.session.residents.here()
        begun, phase = time.monotonic(), self._phase(name, verb)
        if phase is not None:
            session.bring(phase, lambda other: self._load(other, name, opener))
        opened = opener(session, name)
        if name in self._section.chosen(session.workload):
            self.switches.append(Switch(name, here or phase is None, time.monotonic() - begun))
        self._at_work.append(phase)
        try:
            with nullcontext() if phase is None else session.monitor.inside(phase):
                yield opened
        finally:
            self._at_work.pop()

    def replies(
        self, name: str, engine: Engine, prompts: Sequence[Chat], lines: Sequence[int]
    ) -> list[Reply | Failure]:
        """What the role at work writes to each prompt, by the chance of its request's line in the file.

        A Failure for a prompt that the plan has no room for; it is not asked.
        """
        lengths, most = engine.lengths(prompts), self.room(name)
        fitting = [at for at, length in enumerate(lengths) if length <= most]

        def write(places: Sequence[int]) -> list[Reply | Failure]:
            some = [fitting[one] for one in places]
            seeds = [self.seed(lines[at]) for at in some]
            return engine.generate([prompts[at] for at in some], self.sampling(name), seeds)

        found: list[Reply | Failure] = [
            Failure(f"its prompt takes {length:,} tokens, and the plan has room for {most:,}")
            for length in lengths
        ]
        fits = [lengths[at] for at in fitting]
        for at, reply in zip(fitting, self.turns.each(name, "", fits, write, self._at_work[-1]), strict=True):
            found[at] = self.counted(reply)
        return found

    def seed(self, line: int) -> int:
        """The chance of a request."""
        return seed_of(self._section.seed, line)

    def sampling(self, name: str) -> Sampling:
        """How a role writes."""
        return Sampling(base_work(name, self.session.workload).new_tokens)

    def counted(self, reply: Reply | Failure) -> Reply | Failure:
        """The same, with what was read and written for it among the run's tokens."""
        if isinstance(reply, Reply):
            self.session.tokens += reply.prompt_tokens + len(reply.tokens)
        return reply

    def room(self, name: str, verb: str = "") -> int:
        """Tokens of a prompt that the plan has room for."""
        return self.turns.longest(name, verb)

    def _load(self, other: str, name: str, opener: Callable[[Session, str], object]) -> None:
        if other == name:
            opener(self.session, name)
        else:
            open_engine(self.session, other)

    def _phase(self, name: str, verb: str) -> Phase | None:
        """The plan's phase in which it does `verb` beside who is there; None of a role of another machine.

        Before any specialist was asked, nobody is beside it.
        """
        session = self.session
        if name not in session.workload.roles or not is_local(session.workload.roles[name]):
            return None
        first = session.phase(name, verb)
        if not self.stays(name):
            return first
        guests = set(session.residents.here()) - self._staying
        for phase in session.plan.phases:
            same = (phase.running, phase.verb, phase.activity) == (name, verb, first.activity)
            if same and set(phase.on_device()) == {*self._staying, *guests}:
                return phase
        return first._replace(resident=tuple(self._without_guests(first, guests)))

    def _without_guests(self, phase: Phase, guests: set[str]) -> Iterator[Resident]:
        """Who is there in a phase, but for specialists on the devices that have not been asked."""
        for each in phase.resident:
            if each.where != "device" or each.name in self._staying or each.name in guests:
                yield each
