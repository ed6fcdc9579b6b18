"""A user's own functions as tools, each call in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ullage.engines.offered import Definition
from ullage.errors import FormatError, SpecError
from ullage.fields import Fields
from ullage.kinds.assistant.tools.process import CallLimits, result_of
from ullage.kinds.assistant.tools.tool import Arguments, ToolError

CHILD: Final = Path(__file__).with_name("child.py")
IMPORT_SECONDS: Final = 60.0
"""For a function to be imported and described, once, however short its calls are to be."""
LONGEST_DESCRIPTION: Final = 2**18
"""Bytes of a function's description and schema."""


@dataclass(frozen=True, slots=True)
class OwnTool:
    """The function `place`, imported from `folder` or from what is installed, never in this process."""

    place: str
    folder: Path
    definition: Definition
    limits: CallLimits

    def call(self, arguments: Arguments) -> str:
        try:
            given = json.dumps(arguments).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise ToolError(f"its arguments are no JSON: {error}") from error
        found = _answer(self.place, self.folder, given, self.limits)
        back = found.value("back")
        return back if isinstance(back, str) else json.dumps(back, ensure_ascii=False)


def open_tool(place: str, folder: Path, limits: CallLimits) -> OwnTool:
    """The tool of `package.module:function`; its description and schema are its docstring and annotations.

    Raises ToolError where it cannot be imported or described.
    """
    once = replace(limits, seconds=max(limits.seconds, IMPORT_SECONDS), output_bytes=LONGEST_DESCRIPTION)
    found = _answer(place, folder, b"", once)
    name = place.partition(":")[2]
    told = Definition(name, found.text("description") or name, found.inner("parameters").values)
    return OwnTool(place, folder, told, limits)


def open_tools(places: Sequence[str], folder: Path, limits: CallLimits) -> list[OwnTool]:
    """All of them. Raises SpecError that names every one that cannot be used."""
    found, wrong = [], []
    for place in places:
        try:
            found.append(open_tool(place, folder, limits))
        except ToolError as error:
            wrong.append(f"assistant.tools: {place}: {error}")
    if wrong:
        raise SpecError(wrong)
    return found


def _answer(place: str, folder: Path, given: bytes, limits: CallLimits) -> Fields:
    module, _, name = place.partition(":")
    where = (str(folder.absolute()), module, name)
    own = (str(int(limits.seconds) + 2), str(limits.memory_bytes))
    # -I: neither PYTHONPATH nor the folder this process runs in is searched, only what is installed.
    told = result_of((sys.executable, "-I", str(CHILD), *where, *own), given, folder, limits)
    try:
        value: object = json.loads(told)
    except (ValueError, RecursionError) as error:
        raise ToolError("its result is no JSON") from error
    fields = Fields(value if isinstance(value, dict) else {}, place)
    for key in ("raised", "refused"):
        if key in fields:
            raise ToolError(f"{'raised ' if key == 'raised' else ''}{fields.text(key)}")
    try:
        fields.value("back" if given else "parameters")
    except FormatError as error:
        raise ToolError("its result is no JSON of a call") from error
    return fields
