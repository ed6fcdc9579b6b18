"""A specialist's turn: text from those that write, text about pictures, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ullage.engines.calls import calls_in
from ullage.engines.diffusers import open_painter
from ullage.engines.engine import Chat, Engine, Failure, Message, Reply
from ullage.engines.offered import offered
from ullage.engines.opening import open_engine
from ullage.engines.painter import Canvas
from ullage.errors import InputError, UnsupportedError
from ullage.kinds.assistant.crew import Crew
from ullage.kinds.assistant.memory.memory import Memory
from ullage.kinds.assistant.prompts import specialist_prompt
from ullage.kinds.assistant.section import Section
from ullage.kinds.assistant.tools.exchange import Exchange, as_message
from ullage.kinds.assistant.tools.tool import Tool
from ullage.kinds.assistant.tools.toolbox import Toolbox
from ullage.kinds.assistant.turn import Turn

TOO_LONG: Final = "what it gave back is longer than the plan has room for in this talk"


class Specialists:
    """Asks one specialist about several requests at once. A request that comes to nothing has `failed`."""

    def __init__(self, crew: Crew, section: Section, toolbox: Toolbox, memory: Memory | None) -> None:
        self._crew, self._section, self._toolbox, self._memory = crew, section, toolbox, memory
        self._workload = crew.session.workload

    def ask(self, name: str, turns: Sequence[Turn]) -> None:
        """Raises what loading the specialist raises; nothing of the turns has changed then."""
        role = self._workload.roles[name]
        if role.runs_with.memory == "pipeline":
            self._paint(name, turns)
        elif role.images and self._section.development_mode:
            self._write(name, [turn for turn in turns if self._seen(name, turn)])
        elif role.images:
            self._view(name, turns)
        else:
            self._write(name, turns)

    def _write(self, name: str, turns: Sequence[Turn]) -> None:
        with self._crew.at_work(name, open_engine) as engine:
            asking = []
            for turn in turns:
                tools = self._tools(name, turn)
                exchange = Exchange(tools, self._section.tool_limits.calls) if tools else None
                told = offered([each.definition for each in tools])
                parts = (self._section.instructions.get(name, ""), told)
                turn.messages, turn.left_out = specialist_prompt(
                    turn.request.text,
                    turn.before,
                    parts,
                    turn.passage,
                    lambda chat: self._fits(name, engine, chat),
                )
                asking.append((turn, exchange))
            while asking:
                self._replies(name, engine, [turn for turn, _ in asking])
                asking = [
                    (turn, exchange)
                    for turn, exchange in asking
                    if exchange is not None
                    and not turn.failed
                    and self._called(turn, exchange, lambda chat: self._fits(name, engine, chat))
                ]

    def _fits(self, name: str, engine: Engine, chat: Chat) -> bool:
        return engine.lengths([chat])[0] <= self._crew.room(name)

    def _tools(self, name: str, turn: Turn) -> Sequence[Tool]:
        """What a specialist may call for a request."""
        callers = self._section.callers
        if callers is not None and name not in callers:
            return ()
        return self._toolbox.of(turn.request.owner, self._memory)

    def _called(self, turn: Turn, exchange: Exchange, fits: Callable[[Chat], bool]) -> bool:
        """Makes the calls in the last reply; whether the specialist is to be asked again.

        Where the planned prompt has no room for what calls gave back they have failed, not the request.
        """
        called = calls_in(turn.answer)
        if not called.calls:
            return False
        made = exchange.answer(called.calls)
        said: Message = {"role": "assistant", "content": turn.answer}
        if not fits((*turn.messages, said, as_message(made))):
            made = [replace(one, text=TOO_LONG, failed=True) for one in made]
        turn.tools += made
        turn.messages += [said, as_message(made)]
        turn.answer = called.words
        if not exchange.open:
            turn.problems.append(
                f"{turn.specialist} was asked no further: its calls were used up, or wrong twice"
            )
        return exchange.open

    def _replies(self, name: str, engine: Engine, turns: Sequence[Turn]) -> None:
        """A reply for each, from the messages it has."""
        prompts = [tuple(turn.messages) for turn in turns]
        lines = [turn.request.line for turn in turns]
        for turn, reply in zip(turns, self._crew.replies(name, engine, prompts, lines), strict=True):
            _take(name, turn, reply)

    def _view(self, name: str, turns: Sequence[Turn]) -> None:
        from ullage.engines.viewer import Question, open_viewer

        with self._crew.at_work(name, open_viewer) as viewer:
            for turn in turns:
                if turn.request.image is None:
                    turn.failed = f"{name}: looks at pictures, and the request has none"
                    continue
                asked = Question(turn.request.text, turn.request.image)
                (reply,) = viewer.view(
                    [asked], self._crew.sampling(name), [self._crew.seed(turn.request.line)]
                )
                _take(name, turn, self._crew.counted(reply))

    def _seen(self, name: str, turn: Turn) -> bool:
        """Whether a request has a picture that can be looked at, where no model will."""
        from ullage.engines.pictures import open_picture

        try:
            if turn.request.image is None:
                raise InputError("looks at pictures, and the request has none")
            open_picture(turn.request.image)
        except InputError as error:
            turn.failed = f"{name}: {error}"
        return not turn.failed

    def _paint(self, name: str, turns: Sequence[Turn]) -> None:
        role = self._workload.roles[name]
        canvas = Canvas(role.image_size, role.steps)
        with self._crew.at_work(name, open_painter) as painter:
            for turn in turns:
                try:
                    (found,) = painter.paint(
                        [turn.request.text], canvas, [self._crew.seed(turn.request.line)]
                    )
                except (InputError, UnsupportedError) as error:
                    turn.failed = f"{name}: {error}"
                    continue
                if isinstance(found, Failure):
                    turn.failed = f"{name}: {found.reason}"
                    continue
                turn.picture = found.png
                size = [*canvas.size]
                turn.painted = {"seed": found.seed, "size": size, "steps": canvas.steps, "cut": found.cut}


def _take(name: str, turn: Turn, reply: Reply | Failure) -> None:
    if isinstance(reply, Failure):
        turn.failed = f"{name}: {reply.reason}"
    else:
        turn.replied(reply)
        turn.answer, turn.stop = reply.text.strip(), reply.stop
