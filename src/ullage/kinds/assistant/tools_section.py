"""`tools:` of the assistant's section: what its specialists may call, and within which limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from ullage.errors import InputError
from ullage.spec.installed import engines_that
from ullage.spec.mistake import Mistake, shorten
from ullage.spec.value import Value
from ullage.spec.workload import Workload
from ullage.units import parse_bytes

CALCULATOR: Final = "calculator"
RETRIEVAL: Final = "retrieval"
OWN: Final = (CALCULATOR, RETRIEVAL)
_NAME: Final = "[A-Za-z_][A-Za-z0-9_]{0,63}"
PLACE: Final = re.compile(rf"{_NAME}(?:\.{_NAME})*:{_NAME}")
"""package.module:function."""
LARGEST_OUTPUT: Final = 2**26
LEAST_MEMORY: Final = 2**26


class ToolLimits(Value):
    """Of the user's own functions, each call in a process of its own; and calls of all tools a request."""

    seconds: Annotated[float, Field(strict=True, gt=0, le=3600)] = 10.0
    output: str = Field(default="64KiB", description="a call may give back, and as much again print")
    memory: str = Field(default="2GiB", description="addresses of a call's process")
    calls: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        default=8, description="of all tools, for one request"
    )

    def mistakes(self) -> Iterator[Mistake]:
        """Sizes that are sizes."""
        for name, text, least, most in (
            ("output", self.output, 1, LARGEST_OUTPUT),
            ("memory", self.memory, LEAST_MEMORY, 2**50),
        ):
            path = ("assistant", "tool_limits", name)
            try:
                size = parse_bytes(text)
            except InputError:
                yield Mistake(path, f"{shorten(repr(text), 60)} is no size; write for example 64MiB")
                continue
            if not least <= size <= most:
                yield Mistake(path, f"is from {least:,} to {most:,} bytes")


def mistakes_in_tools(
    tools: tuple[str, ...],
    callers: tuple[str, ...] | None,
    remembers: bool,
    specialists: tuple[str, ...],
    workload: Workload,
) -> Iterator[Mistake]:
    """Tools that exist, each once, and specialists that can call them."""
    seen: dict[str, str] = {}
    for index, tool in enumerate(tools):
        path = ("assistant", "tools", index)
        if tool not in OWN and not PLACE.fullmatch(tool):
            problem = f"{shorten(repr(tool), 60)} is no tool; there are {', '.join(OWN)}, and functions of"
            yield Mistake(path, f"{problem} yours as package.module:function")
            continue
        name = tool.rpartition(":")[2]
        if name in seen:
            yield Mistake(path, f"two tools are called {name}: {seen[name]} and {tool}")
        seen[name] = tool
    if RETRIEVAL in tools and not remembers:
        yield Mistake(("assistant", "tools", tools.index(RETRIEVAL)), "needs assistant.memory")
    if callers is None:
        return
    if not tools:
        yield Mistake(("assistant", "callers"), "have no tools to call; give assistant.tools")
    for index, name in enumerate(callers):
        path = ("assistant", "callers", index)
        if name not in specialists:
            shown = shorten(repr(name), 60)
            yield Mistake(path, f"no specialist is called {shown}; there are {', '.join(specialists)}")
        elif name in workload.roles and not workload.roles[name].runs_with.writes:
            able = engines_that(lambda engine: engine.writes)
            problem = f"role {name} has engine: {workload.roles[name].engine}, which writes no text; "
            yield Mistake(path, f"{problem}tools are called by engine {able}")
