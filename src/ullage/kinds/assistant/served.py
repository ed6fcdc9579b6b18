"""An assistant as one model: whoever asks brings the conversation, and it answers the last turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from ullage.engines.turns import Turns
from ullage.errors import InputError
from ullage.kinds.assistant.crew import Crew
from ullage.kinds.assistant.flow import Flow, Recalling
from ullage.kinds.assistant.memory.opening import open_memory
from ullage.kinds.assistant.requests import Request
from ullage.kinds.assistant.section import Section
from ullage.kinds.assistant.tools.toolbox import open_toolbox
from ullage.kinds.assistant.turn import Said, Turn
from ullage.phases.blocks import base_work, own_section
from ullage.planning.plan import Plan
from ullage.runtime.borrowed import Turned, borrowing
from ullage.runtime.session import Session
from ullage.workloads.kind import Asked, Message, Told


@dataclass(slots=True)
class ServedAssistant:
    """Invariant: between two batches no role is lent to it."""

    session: Session
    flow: Flow
    monitor: Turned
    folder: Path
    development: bool
    most: int
    lines: Iterator[int]

    def check(self, asked: Asked) -> None:
        """As `Answering`."""
        _, last = _turns(asked.said)
        if not last.text.strip():
            raise InputError("nothing was said; the last message is empty")

    def answer(self, asked: Sequence[Asked], gone: Callable[[], bool]) -> list[Told]:
        """As `Answering`; notes are those of a request's user, and of nobody where none is named."""
        self.monitor.gone = gone
        turns = [self._turn(each, next(self.lines)) for each in asked]
        try:
            self.flow.answer(turns)
        finally:
            self.flow.forget()
            self.session.residents.close()
            self.session.freed.clear()
            for turn in turns:
                if turn.request.image is not None:
                    turn.request.image.unlink()
        return [
            Told(turn.told, turn.picture, turn.failed, turn.stop == "length", turn.read, turn.written)
            for turn in turns
        ]

    def _turn(self, asked: Asked, line: int) -> Turn:
        before, last = _turns(asked.said)
        picture = self.folder / f"picture-{line}" if last.picture else None
        if picture is not None:
            picture.write_bytes(last.picture)
        conversation = f"conversation {token_hex(8)}"
        request = Request(line, str(line), conversation, asked.user, last.text, picture)
        return Turn(request, before, self.development)


def _turns(said: Sequence[Message]) -> tuple[tuple[Said, ...], Message]:
    """Earlier turns, and what is to be answered: what a user said in several messages is one."""
    found: list[Said] = []
    asked: list[str] = []
    for each in said:
        if each.role == "user":
            asked.append(each.text)
        elif asked:
            found.append(Said("\n".join(asked), each.text))
            asked = []
        else:
            raise InputError("messages: an answer stands before anything was asked")
    if not asked:
        raise InputError("messages: the last one is not a user's")
    return tuple(found), Message("user", "\n".join(asked), said[-1].picture)


@contextmanager
def open_served(session: Session, plan: Plan) -> Iterator[ServedAssistant]:
    """The assistant of `plan`, whose roles are those of the pool of `session`."""
    section = own_section(plan.workload, Section)
    toolbox = open_toolbox(section.tools, section.tool_limits, plan.base)
    own, monitor = borrowing(session, plan)
    crew = Crew(Turns(own), section)
    recalling = Recalling(crew, section)
    with (
        TemporaryDirectory(prefix="ullage-served-") as folder,
        open_memory(section.memory, plan.base, recalling.embedder, session.say) as memory,
    ):
        own.residents.close()  # what opening the memory borrowed
        flow = Flow(crew, section, toolbox, memory, recalling)
        most = base_work(section.voice, plan.workload).batch
        yield ServedAssistant(own, flow, monitor, Path(folder), section.development_mode, most, count(1))
