"""The `assistant:` part of a workload file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from ullage.kinds.assistant.memory_section import MemorySection
from ullage.kinds.assistant.tools_section import ToolLimits, mistakes_in_tools
from ullage.phases.blocks import wrong_roles, wrong_training
from ullage.spec.mistake import Mistake
from ullage.spec.section import Section as BaseSection
from ullage.spec.value import Schedule
from ullage.spec.workload import Workload


class Section(BaseSection):
    """Which role does what."""

    taking_turns: ClassVar[Schedule] = "swapped"

    router: str = "router"
    voice: str = "voice"
    specialists: tuple[str, ...] | None = Field(
        default=None, description="every role but router and voice, unless they are listed here"
    )
    memory: MemorySection | None = Field(default=None, description="notes of users, kept beyond a talk")
    tools: tuple[str, ...] = Field(
        default=(), description="calculator, retrieval, and functions of yours as package.module:function"
    )
    callers: tuple[str, ...] | None = Field(
        default=None, description="specialists that may call tools; None: every one that writes text"
    )
    tool_limits: ToolLimits = ToolLimits()

    def chosen(self, workload: Workload) -> tuple[str, ...]:
        """The specialists by name."""
        if self.specialists is not None:
            return self.specialists
        return tuple(name for name in workload.roles if name not in (self.router, self.voice))

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """A router, a voice and a specialist, each another role, and no role without a part."""
        specialists = self.chosen(workload)
        parts = (self.router, self.voice, *specialists)
        yield from wrong_roles(workload, dict.fromkeys(parts), parts)
        yield from wrong_training(workload)
        if not specialists:
            problem = "kind assistant needs a specialist: any role beside router and voice"
            yield Mistake(("roles",), problem, at_key=True)
        if len(set(parts)) < len(parts):
            problem = "router, voice and every specialist are roles of their own"
            yield Mistake(("assistant",), problem, at_key=True)
        if self.memory is not None:
            yield from self.memory.mistakes(workload, self.router)
        remembers = self.memory is not None
        yield from mistakes_in_tools(self.tools, self.callers, remembers, specialists, workload)
        yield from self.tool_limits.mistakes()
