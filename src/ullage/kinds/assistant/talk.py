"""A talk with an assistant: one user, turn by turn, each answered before the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Final

from ullage.engines.pictures import picture_size
from ullage.engines.turns import Turns
from ullage.errors import InputError, MissingExtraError
from ullage.kinds.assistant.crew import Crew
from ullage.kinds.assistant.development import SAID
from ullage.kinds.assistant.flow import Flow, Recalling
from ullage.kinds.assistant.memory.memory import Memory
from ullage.kinds.assistant.memory.opening import open_memory
from ullage.kinds.assistant.painted import keep_picture
from ullage.kinds.assistant.requests import Request, owner_of
from ullage.kinds.assistant.routing_section import viewers_of
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
from ullage.workloads.talks import check_text

FORGET, IMAGE = "/forget", "/image"
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
    name: str = field(default_factory=lambda: f"talk {token_hex(8)}")
    """No other talk's: notes are told apart by it."""
    picture: Path | None = None
    """What the next turn brings."""

    help: str = (
        f"{IMAGE} PATH gives the next turn a picture, painted ones are written to picture-N.png here, "
        f"{FORGET} forgets all that is remembered of you, and proves it"
    )

    def reset(self) -> None:
        """Forgets what was said in this talk; what is remembered stays."""
        self.before.clear()
        self.picture = None

    def say(self, text: str) -> Answered:
        """The assistant's answer, or what came of one of its commands.

        Raises InputError where nothing is said, and what loading router, voice or the fallback raises.
        """
        check_text("what was said", text)
        command, _, rest = text.strip().partition(" ")
        if not command:
            raise InputError("nothing was said; say something, or end the talk")
        if command == FORGET and not rest:
            return self._forgotten()
        if command == IMAGE:
            return self._given(rest.strip())
        self.turns += 1
        request = Request(self.turns, str(self.turns), self.name, USER, text, self.picture)
        turn, self.picture = Turn(request, tuple(self.before), self.development), None
        self.flow.answer([turn])
        if turn.told and not turn.failed:
            self.before.append(Said(text, turn.told))
        return self._answered(turn)

    def _given(self, named: str) -> Answered:
        """A picture for the next turn, once its header was read; one that is none changes nothing."""
        path = Path(named.strip("'\"")).expanduser()
        workload = self.session.workload
        viewers = viewers_of(workload, self.flow.section.chosen(workload))
        try:
            if not named:
                raise InputError(f"name a picture's file: {IMAGE} PATH")
            if not viewers:
                raise InputError("nobody here looks at pictures; give the file a role with images: 1")
            width, height = picture_size(path)
        except (InputError, MissingExtraError) as error:
            return Answered((f"no picture was taken: {error}",), {"image": None, "failed": str(error)})
        self.picture = path
        said = f"{path.name}, {width:,} x {height:,} pixels, comes with what you say next, to {viewers[0]}"
        return Answered((said,), {"image": str(path), "size": [width, height], "failed": None})

    def _answered(self, turn: Turn) -> Answered:
        """A turn as it is shown, with its picture in a file of its own."""
        row, lines = answer_row(turn), [*self._lines(turn)]
        if turn.picture:
            try:
                path = keep_picture(turn.picture, Path.cwd())
            except OSError as error:
                lines.append(f"the picture cannot be written here: {error.strerror or error}")
            else:
                row["picture"] = {**turn.painted, "file": str(path)}
                lines.append(f"painted: {path}")
        return Answered((*lines, self._bar()), row)

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
        if turn.told:
            yield turn.told

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
        found = self.memory.delete(owner_of(USER, self.name))
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
        write_down(session, ())
        for warning in plan.warnings:
            session.say(warning)
        if section.development_mode:
            session.say(SAID)
        crew = Crew(Turns(session), section)
        recalling = Recalling(crew, section)
        memory = stack.enter_context(open_memory(section.memory, plan.base, recalling.embedder, session.say))
        flow = Flow(crew, section, toolbox, memory, recalling)
        yield AssistantTalk(session, flow, crew, memory, section.development_mode)
