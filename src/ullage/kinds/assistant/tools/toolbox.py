"""The tools that a file names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ullage.kinds.assistant.memory.memory import Memory
from ullage.kinds.assistant.tools.calculator import Calculator
from ullage.kinds.assistant.tools.own import OwnTool, open_tools
from ullage.kinds.assistant.tools.process import CallLimits
from ullage.kinds.assistant.tools.retrieval import Retrieval
from ullage.kinds.assistant.tools.tool import Tool
from ullage.kinds.assistant.tools_section import CALCULATOR, OWN, RETRIEVAL, ToolLimits
from ullage.units import parse_bytes


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Tools by `names`, of which those of the user, `own`, have been described already."""

    names: tuple[str, ...]
    own: tuple[OwnTool, ...]

    def of(
        self,
        user: str,
        memory: Memory | None,
        count: int = 5,
        fits: Callable[[str], bool] = lambda text: True,
    ) -> list[Tool]:
        """What may be called in a talk with `user`, in the file's order; no retrieval without a memory."""
        places: dict[str, Tool] = {one.place: one for one in self.own}
        places[CALCULATOR] = Calculator()
        if memory is not None:
            places[RETRIEVAL] = Retrieval(memory, user, count, fits)
        return [places[name] for name in self.names if name in places]


def open_toolbox(names: Sequence[str], limits: ToolLimits, base: Path) -> Toolbox:
    """Describes the user's functions, found from `base`, each in a process of its own.

    Raises SpecError that names every one that cannot be used.
    """
    bounds = CallLimits(limits.seconds, parse_bytes(limits.output), parse_bytes(limits.memory))
    own = open_tools([name for name in names if name not in OWN], base, bounds)
    return Toolbox(tuple(names), tuple(own))
