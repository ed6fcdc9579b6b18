"""A request's way: what is remembered, who is asked, the answer, and the voice that says it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ullage.engines.engine import Failure
from ullage.engines.opening import open_engine
from ullage.errors import InputError, UllageError
from ullage.kinds.assistant.crew import Crew
from ullage.kinds.assistant.memory.chroma_memory import id_of
from ullage.kinds.assistant.memory.embedder import Embedder, by_states, by_words
from ullage.kinds.assistant.memory.memory import Memory, Note, Query
from ullage.kinds.assistant.memory.passage import passage_of
from ullage.kinds.assistant.phases import EMBED
from ullage.kinds.assistant.prompts import voice_prompt
from ullage.kinds.assistant.routing import Request as Routed
from ullage.kinds.assistant.routing import Router
from ullage.kinds.assistant.routing.opening import open_router, served
from ullage.kinds.assistant.routing.route import Served
from ullage.kinds.assistant.section import Section
from ullage.kinds.assistant.specialists import Specialists
from ullage.kinds.assistant.tools.toolbox import Toolbox
from ullage.kinds.assistant.turn import Stage, Turn
from ullage.phases.blocks import base_work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Recalling:
    """The vectors of notes, by the states of a role that is at work; without one, by their words."""

    def __init__(self, crew: Crew, section: Section) -> None:
        self._crew = crew
        self._made: Embedder | None = None
        self._shared: dict[str, NDArray[np.float32]] = {}
        self.role = None if section.memory is None else section.memory.embedding_role(section.router)
        if self.role is None:
            self.embedder = by_words()
        else:
            session = crew.session
            model, precision = (
                session.workload.roles[self.role].model,
                session.plan.roles[self.role].precision,
            )
            self.embedder = Embedder(
                model,
                precision.storage,
                lambda texts: self._with(lambda made: made.embed(texts)),
                lambda texts: self._with(lambda made: made.ask(texts)),
            )

    def forget(self) -> None:
        """Lets go of the role's engine."""
        self._made = None

    def _with(self, use: Callable[[Embedder], NDArray[np.float32]]) -> NDArray[np.float32]:
        """What the role's own embedder makes; of a role that leaves nothing is held."""
        assert self.role is not None
        if self._crew.busy and self.role not in self._crew.session.residents.here():
            raise InputError(f"{self.role}, which embeds notes, is not there while another role works")
        with self._crew.at_work(self.role, open_engine, EMBED) as engine:
            who = self.embedder.identity, self.embedder.precision
            made = self._made or by_states(engine, *who, self._crew.room(self.role, EMBED), self._shared)
            if self._crew.stays(self.role):
                self._made = made
            return use(made)


@dataclass(slots=True)
class Flow:
    """Answers requests side by side, each user's alone among them.

    A specialist that cannot be loaded is replaced by the fallback, and the turn says so.
    """

    crew: Crew
    section: Section
    toolbox: Toolbox
    memory: Memory | None
    recalling: Recalling
    _router: Router | None = None
    _served: Served = field(init=False)

    def __post_init__(self) -> None:
        self._served = served(self.section, self.crew.session.workload)

    def forget(self) -> None:
        """Lets go of engines: their roles are given back."""
        self._router = None
        self.recalling.forget()

    def answer(self, turns: Sequence[Turn]) -> None:
        """Fills the turns in. Raises what loading router, voice or the fallback raises."""
        self.crew.switches.clear()
        with self._timed("route", turns):
            self._route(turns)
        with self._timed("remember", turns):
            self._recall(turns)
        self._specialists(turns)
        answered = [turn for turn in turns if turn.answer and not turn.failed]
        with self._timed("voice", answered):
            self._voice(answered)

    @contextmanager
    def _timed(self, stage: Stage, turns: Sequence[Turn]) -> Iterator[None]:
        """What is done inside is a stage of each of the turns, and bringing a specialist one of its own."""
        before, begun = len(self.crew.switches), time.monotonic()
        try:
            yield
        finally:
            switching = sum(each.seconds for each in self.crew.switches[before:])
            for turn in turns:
                turn.took(stage, time.monotonic() - begun - switching)
                if len(self.crew.switches) > before:
                    turn.took("switch", switching)

    def _route(self, turns: Sequence[Turn]) -> None:
        workload, section = self.crew.session.workload, self.section
        asked = [Routed(turn.request.text, turn.request.image is not None) for turn in turns]
        who = self._served
        if not section.asks_router:
            routes = who.routes(open_router(section, workload, None), asked)
        else:
            with self.crew.at_work(section.router, open_engine) as engine:
                router = self._router or open_router(section, workload, engine)
                if section.routing.by == "examples" and self.crew.stays(section.router):
                    self._router = router  # it has read its examples; others' engines keep what prompts share
                batch = base_work(section.router, workload).batch
                routes = []
                for begin in range(0, len(asked), batch):
                    routes += who.routes(router, asked[begin : begin + batch])
                del router, engine
        for turn, route in zip(turns, routes, strict=True):
            turn.route, turn.specialist = route, route.to
            if route.problem:
                turn.problems.append(f"routed to {route.to}: {route.problem}")

    def _recall(self, turns: Sequence[Turn]) -> None:
        """What is remembered of each user, without what is being said; then that is remembered too."""
        if self.memory is None or self.section.memory is None:
            return
        most = self.section.memory.found
        for turn in turns:
            request, tags = turn.request, (turn.specialist,)
            try:
                # Its own note is there already where a run was killed before the answer was kept.
                query = Query(request.text, tags, most, id_of(request.key))
                passage = passage_of(self.memory.search(request.owner, query))
                turn.passage, turn.notes = passage.text, passage.used
                self.memory.add(request.owner, Note(request.key, request.text, tags))
            except InputError as error:
                turn.problems.append(f"memory: {error}")

    def _specialists(self, turns: Sequence[Turn]) -> None:
        """Each specialist once, the one that is there first."""
        asked = Specialists(self.crew, self.section, self.toolbox, self.memory)
        here = self.crew.session.residents.here()
        fallback = self._served.fallback
        left = {turn.specialist for turn in turns}
        order = sorted(left, key=lambda name: (name not in here, name == fallback, name))
        for name in order:
            mine = [turn for turn in turns if turn.specialist == name and not turn.failed]
            try:
                with self._timed("specialist", mine):
                    asked.ask(name, mine)
            except UllageError as error:
                if name == fallback:
                    raise
                for turn in mine:
                    turn.problems.append(f"{name} cannot be asked, so {fallback} is: {error}")
                    turn.specialist = fallback
                if fallback not in order:
                    order.append(fallback)
                elif order.index(fallback) < order.index(name):
                    with self._timed("specialist", mine):
                        asked.ask(fallback, mine)

    def _voice(self, turns: Sequence[Turn]) -> None:
        if not turns:
            return
        name = self.section.voice
        prompts = [voice_prompt(turn.answer, self.section.instructions.get(name)) for turn in turns]
        lines = [turn.request.line for turn in turns]
        with self.crew.at_work(name, open_engine) as engine:
            replies = self.crew.replies(name, engine, prompts, lines)
        for turn, reply in zip(turns, replies, strict=True):
            if isinstance(reply, Failure):
                turn.problems.append(f"the voice said nothing: {reply.reason}")
            else:
                turn.replied(reply)
                turn.voice = reply.text.strip()
