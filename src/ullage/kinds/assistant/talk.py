"""A talk with an assistant: one user, turn by turn, each answered before the next."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Final

from ullage.engines.turns import Turns
from ullage.kinds.assistant.crew import Crew
from ullage.kinds.assistant.development import SAID
from ullage.kinds.assistant.flow import Flow, Recalling
from ullage.kinds.assistant.memory.memory import Memory
from ullage.kinds.assistant.memory.opening import open_memory
from ullage.kinds.assistant.requests import Request
from ullage.kinds.assistant.rows import answer_row
from ullage.kinds.assistant.section import Section
from ullage.kinds.assistant.tools.toolbox import open_toolbox
from ullage.kinds.assistant.turn import Said, Turn
from ullage.phases.blocks import own_section
from ullage.planning.plan import Plan
from ullage.records.folder import RunFolder
from ullage.runtime.opening import Options, open_session
from ullage.runtime.session import Session
from ullage.units import GIB, MIB, gib
from ullage.workloads.execution import check_able, refuse_unfit, write_down
from ullage.workloads.inputs import files_of

FORGET: Final = "/forget"
USER: Final = "me"
"""Whose notes a talk's are."""
BAR: Final = 20


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a turn: lines to show, and the row that a run would have kept."""

    lines: tuple[str, ...]
    row: dict[str, object]


@dataclass(slots=True)
class AssistantTalk:
    """Invariant: what was said before is what the assistant reads; a turn that came to nothing is not."""

    session: Session
    flow: Flow
    crew: Crew
    memory: Memory | None
    development: bool = False
    before: list[Said] = field(default_factory=list)
    turns: int = 0

    help: str = f"{FORGET} forgets all that is remembered of you, and proves it"

    def reset(self) -> None:
        """Forgets what was said in this talk; what is remembered stays."""
        self.before.clear()

    def say(self, text: str) -> Answered:
        """The assistant's answer. Raises what loading router, voice or the fallback raises."""
        if text.strip() == FORGET:
            return self._forgotten()
        self.turns += 1
        talk = f"talk {os.getpid()}"
        request = Request(self.turns, str(self.turns), talk, USER, text)
        turn = Turn(request, tuple(self.before), self.development)
        self.crew.switches.clear()
        self.flow.answer([turn])
        if turn.told and not turn.failed:
            self.before.append(Said(text, turn.told))
        return Answered(tuple(self._lines(turn)), answer_row(turn))

    def _lines(self, turn: Turn) -> Iterator[str]:
        route = turn.route
        assert route is not None
        sure = "" if route.chosen.confidence is None else f", {route.chosen.confidence:.2f}"
        brought = [
            "was there" if each.here else f"brought in {each.seconds:.2f} s" for each in self.crew.switches
        ]
        came = "no model is loaded" if turn.development else ", then ".join(brought)
        yield f"-> {turn.specialist} ({route.how}{sure}), {came}"
        yield from (f"   {problem}" for problem in turn.problems)
        for call in turn.tools:
            yield f"   {call.name}: {call.text}{' (failed)' if call.failed else ''}"
        if turn.failed:
            yield f"no answer: {turn.failed}"
        if turn.picture:
            path = Path(mkdtemp(prefix="ullage-picture-")) / "picture.png"
            path.write_bytes(turn.picture)
            yield f"painted: {path}"
        if turn.told:
            yield turn.told
        yield self._bar()

    def _bar(self) -> str:
        """What is taken of each device, now."""
        shown = []
        for place in self.session.residents.pool.snapshot().places:
            if place.budget:
                filled = round(BAR * place.used / place.budget)
                size = (
                    gib(place.used) + f" of {gib(place.budget)}"
                    if place.budget >= GIB
                    else f"{place.used / MIB:.1f} of {place.budget / MIB:.1f} MiB"
                )
                shown.append(f"{place.place} {'█' * filled}{'·' * (BAR - filled)} {size}")
        return "   " + "   ".join(shown)

    def _forgotten(self) -> Answered:
        if self.memory is None:
            return Answered(("nothing is remembered beyond this talk",), {"forgotten": 0})
        found = self.memory.delete(USER)
        self.before.clear()
        proof = "no byte of them is left" if found.proven else "not all of it could be proved"
        said = (
            f"forgot {found.notes} notes; looked through {found.files} files, {found.bytes:,} bytes: {proof}"
        )
        return Answered((said,), {"forgotten": found.notes, "proven": found.proven})


@contextmanager
def open_talk(plan: Plan, options: Options) -> Iterator[AssistantTalk]:
    """Carries out the plan of an assistant for a talk, turn by turn.

    Raises DoesNotFitError for a plan that exceeds a device, before anything is loaded.
    """
    check_able(plan)
    refuse_unfit(plan)
    section = own_section(plan.workload, Section)
    toolbox = open_toolbox(section.tools, section.tool_limits, plan.base)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="ullage-talk-"))
        session = stack.enter_context(open_session(plan, RunFolder(Path(folder)), options))
        write_down(session, files_of(plan.workload, plan.base))
        for warning in plan.warnings:
            session.say(warning)
        if section.development_mode:
            session.say(SAID)
        crew = Crew(Turns(session), section)
        recalling = Recalling(crew, section)
        memory = stack.enter_context(open_memory(section.memory, plan.base, recalling.embedder, session.say))
        flow = Flow(crew, section, toolbox, memory, recalling)
        yield AssistantTalk(session, flow, crew, memory, section.development_mode)
