"""The `assistant:` part of a workload file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from ullage.kinds.assistant.routing_section import Routing
from ullage.phases.blocks import wrong_engine, wrong_roles, wrong_training
from ullage.phases.residency import Rest, rest
from ullage.spec.mistake import Mistake
from ullage.spec.section import Section as BaseSection
from ullage.spec.value import Schedule
from ullage.spec.workload import Workload


class Section(BaseSection):
    """Which role does what."""

    taking_turns: ClassVar[Schedule] = "swapped"
    shows_pictures: ClassVar[bool] = True

    router: str = "router"
    voice: str = "voice"
    specialists: tuple[str, ...] | None = Field(
        default=None, description="every role but router and voice, unless they are listed here"
    )
    routing: Routing = Routing()

    def chosen(self, workload: Workload) -> tuple[str, ...]:
        """The specialists by name."""
        if self.specialists is not None:
            return self.specialists
        return tuple(name for name in workload.roles if name not in (self.router, self.voice))

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
