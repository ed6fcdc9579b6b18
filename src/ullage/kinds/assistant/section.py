"""The `assistant:` part of a workload file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from ullage.errors import nearest
from ullage.kinds.assistant.development import PLANNED, SAID, is_stood_in, stood_in
from ullage.kinds.assistant.memory_section import MemorySection
from ullage.kinds.assistant.routing_section import Routing
from ullage.kinds.assistant.tools_section import ToolLimits, mistakes_in_tools
from ullage.phases.blocks import wrong_engine, wrong_roles, wrong_training
from ullage.phases.residency import Rest, rest
from ullage.spec.mistake import Mistake
from ullage.spec.section import Section as BaseSection
from ullage.spec.value import Schedule, Switch
from ullage.spec.workload import Workload

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.spec.stored import Stored


class Section(BaseSection):
    """Which role does what."""

    taking_turns: ClassVar[Schedule] = "swapped"
    shows_pictures: ClassVar[bool] = True

    router: str = "router"
    voice: str = "voice"
    specialists: tuple[str, ...] | None = Field(
        default=None, description="every role but router and voice, unless they are listed here"
    )
    input: str | None = Field(default=None, description="requests, JSON lines; None: planned alone")
    seed: Annotated[int, Field(strict=True, ge=0, le=2**31)] = 0
    instructions: dict[str, str] = Field(default={}, description="to the voice and each specialist, by role")
    routing: Routing = Routing()
    memory: MemorySection | None = Field(default=None, description="notes of users, kept beyond a talk")
    tools: tuple[str, ...] = Field(
        default=(), description="calculator, retrieval, and functions of yours as package.module:function"
    )
    callers: tuple[str, ...] | None = Field(
        default=None, description="specialists that may call tools; None: every one that writes text"
    )
    tool_limits: ToolLimits = ToolLimits()
    development_mode: Switch = Field(
        default=False, description="a run loads no model: scripts answer, and every answer says so"
    )

    @property
    def asks_router(self) -> bool:
        """Whether a run asks the router's model."""
        return self.routing.asks and not self.development_mode

    def chosen(self, workload: Workload) -> tuple[str, ...]:
        """The specialists by name."""
        if self.specialists is not None:
            return self.specialists
        return tuple(name for name in workload.roles if name not in (self.router, self.voice))

    def carried_out(self, workload: Workload) -> Workload:
        """With `development_mode` scripts in place of all models."""
        return stood_in(workload, self) if self.development_mode else workload

    def notes(self, workload: Workload) -> Iterator[str]:
        """Whose plan it is where a run loads no model."""
        if self.development_mode:
            yield SAID if is_stood_in(workload) else PLANNED

    def extras(self) -> Mapping[str, str]:
        """Chroma, where notes are to be kept."""
        return {} if self.memory is None else {"memory": "nothing is remembered beyond a talk"}

    def stored(self, workload: Workload, models: Mapping[str, Model]) -> Iterator[Stored]:
        """The notes of a user at their limit."""
        if self.memory is not None:
            yield from self.memory.stored(workload, models, self.router)

    def files(self) -> tuple[str, ...]:
        """The requests."""
        return () if self.input is None else (self.input,)

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """A router where one is asked, a voice and a specialist, each another role that can do its part, and
        no role without one."""
        specialists = self.chosen(workload)
        parts = (*((self.router,) if self.routing.asks else ()), self.voice, *specialists)
        yield from wrong_roles(workload, dict.fromkeys(parts), parts)
        yield from wrong_training(workload)
        if not specialists:
            problem = "kind assistant needs a specialist: any role beside router and voice"
            yield Mistake(("roles",), problem, at_key=True)
        if len(set(parts)) < len(parts):
            problem = "router, voice and every specialist are roles of their own"
            yield Mistake(("assistant",), problem, at_key=True)
        yield from self.routing.mistakes(workload, self.router, specialists)
        yield from wrong_engine(self.voice, workload, "writes")
        for name in specialists:
            yield from _wrong_specialist(name, workload)
        for name in parts:
            yield from _wrong_turns(name, workload, "host" if name in specialists else "device")
        for name in self.instructions:
            if name not in (self.voice, *specialists) and name in workload.roles:
                problem = f"role {name} is given none here; the router has assistant.routing.instructions"
                yield Mistake(("assistant", "instructions", name), problem, at_key=True)
            elif name not in workload.roles:
                close = nearest(name, workload.roles)
                hint = f"nearest: {', '.join(close)}" if close else f"valid: {', '.join(workload.roles)}"
                yield Mistake(("assistant", "instructions", name), f"no role is called {name!r}; {hint}")
        if self.memory is not None:
            yield from self.memory.mistakes(workload, self.router, self.routing.asks)
        remembers = self.memory is not None
        yield from mistakes_in_tools(self.tools, self.callers, remembers, specialists, workload)
        yield from self.tool_limits.mistakes()


def _wrong_specialist(name: str, workload: Workload) -> Iterator[Mistake]:
    """A specialist that neither writes nor paints, or paints and is to look at pictures."""
    if name not in workload.roles:
        return
    role = workload.roles[name]
    if role.runs_with.memory != "pipeline":
        yield from wrong_engine(name, workload, "writes")
    elif role.images:
        yield Mistake(("roles", name, "images"), f"role {name} paints pictures and is given none; remove it")


def _wrong_turns(name: str, workload: Workload, otherwise: Rest) -> Iterator[Mistake]:
    """A role that takes turns although its engine keeps what it was given of a card."""
    if name not in workload.roles:
        return
    role = workload.roles[name]
    if role.runs_with.memory == "own cache" and rest(name, workload, otherwise) != "device":
        problem = (
            f"role {name} takes turns, and engine {role.engine} gives nothing of its share of a card back; "
            "use engine: transformers, or residency: persistent"
        )
        yield Mistake(("roles", name, "engine"), problem)
