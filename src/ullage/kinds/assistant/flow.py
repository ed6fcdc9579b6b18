"""A request's way: what is remembered, who is asked, the answer, and the voice that says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ullage.engines.engine import Failure, Reply, Sampling
from ullage.engines.opening import open_engine
from ullage.engines.row import seed_of
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
from ullage.kinds.assistant.section import Section
from ullage.kinds.assistant.specialists import Specialists
from ullage.kinds.assistant.tools.toolbox import Toolbox
from ullage.kinds.assistant.turn import Turn
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

    def answer(self, turns: Sequence[Turn]) -> None:
        """Fills the turns in. Raises what loading router, voice or the fallback raises."""
        self._route(turns)
        self._recall(turns)
        self._specialists(turns)
        self._voice([turn for turn in turns if turn.answer and not turn.failed])

    def _route(self, turns: Sequence[Turn]) -> None:
        workload, section = self.crew.session.workload, self.section
        asked = [Routed(turn.request.text, turn.request.image is not None) for turn in turns]
        who = served(section, workload)
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
            request, key = turn.request, f"{turn.request.conversation}/{turn.request.id}"
            user = request.user or request.conversation
            try:
                found = self.memory.search(user, Query(request.text, (turn.specialist,), most + 1))
                found = [one for one in found if one.id != id_of(key)][:most]
                passage = passage_of(found)
                turn.passage, turn.notes = passage.text, passage.used
                self.memory.add(user, Note(key, request.text, (turn.specialist,)))
            except InputError as error:
                turn.problems.append(f"memory: {error}")

    def _specialists(self, turns: Sequence[Turn]) -> None:
        """Each specialist once, the one that is there first."""
        asked = Specialists(self.crew, self.section, self.toolbox, self.memory)
        here = self.crew.session.residents.here()
        fallback = served(self.section, self.crew.session.workload).fallback
        left = {turn.specialist for turn in turns}
        order = sorted(left, key=lambda name: (name not in here, name == fallback, name))
        for name in order:
            mine = [turn for turn in turns if turn.specialist == name and not turn.failed]
            try:
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
                    asked.ask(fallback, mine)

    def _voice(self, turns: Sequence[Turn]) -> None:
        if not turns:
            return
        name, workload = self.section.voice, self.crew.session.workload
        with self.crew.at_work(name, open_engine) as engine:
            prompts = [voice_prompt(turn.answer, self.section.instructions.get(name)) for turn in turns]
            lengths, most = engine.lengths(prompts), self.crew.room(name)
            fitting = [at for at, length in enumerate(lengths) if length <= most]
            for at in set(range(len(turns))) - set(fitting):
                turns[at].problems.append(
                    f"the voice was not asked: the answer takes {lengths[at]:,} tokens, the plan has room "
                    f"for {most:,}"
                )
            sampling = Sampling(base_work(name, workload).new_tokens)

            def write(places: Sequence[int]) -> list[Reply | Failure]:
                some = [fitting[one] for one in places]
                seeds = [seed_of(self.section.seed, turns[at].request.line) for at in some]
                return engine.generate([prompts[at] for at in some], sampling, seeds)

            replies = self.crew.each(name, [lengths[at] for at in fitting], write)
        for at, reply in zip(fitting, replies, strict=True):
            if isinstance(reply, Failure):
                turns[at].problems.append(f"the voice was asked in vain: {reply.reason}")
            else:
                turns[at].voice = reply.text.strip()
                self.crew.session.tokens += reply.prompt_tokens + len(reply.tokens)
