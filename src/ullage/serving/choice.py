"""Whether a reply is to be a call, and of what: how such a reply begins, and where it ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ullage.engines.calls import Called, ToolCall, calls_in
from ullage.engines.engine import Reply
from ullage.serving.asked import ChosenTool
from ullage.serving.refusal import Refusal

if TYPE_CHECKING:
    from ullage.serving.asked import ChatRequest

OPENS: Final = "<tool_call>"
CLOSES: Final = "</tool_call>"


@dataclass(frozen=True, slots=True)
class Choice:
    """`names` may be called, none: calls are not looked for. A reply that `begins` is a call of one of them;
    one that `ends` has no more than one call."""

    names: frozenset[str] = frozenset()
    begins: str = ""
    ends: bool = False

    @property
    def stop(self) -> tuple[str, ...]:
        """Where a reply is ended."""
        return (CLOSES,) if self.ends else ()

    def called(self, reply: Reply) -> Called | None:
        """A reply taken apart; None where calls are not looked for.

        Raises Refusal for a reply that was to be a call and is none.
        """
        if not self.names:
            return None
        text = self.begins + reply.text
        if self.ends and reply.stop == "stop" and text.rfind(OPENS) > text.rfind(CLOSES):
            text += CLOSES
        found = calls_in(text)
        if self.begins:
            made = [call for call in found.calls if isinstance(call, ToolCall) and call.name in self.names]
            if not made:
                why = "it was cut off; give it more tokens" if reply.stop == "length" else "it cannot be read"
                said = f"tool_choice: the model went on from the beginning of a call, and {why}"
                raise Refusal(400, said, "tool_use_failed", param="tool_choice")
            return Called("", tuple(made))
        return found


NO_CALLS: Final = Choice()


def choice_of(body: ChatRequest) -> Choice:
    """What a body says of calls. Raises Refusal for one that its tools do not allow."""
    chosen = body.tool_choice
    names = frozenset(tool.function.name for tool in body.tools or ())
    single = body.parallel_tool_calls is False
    if isinstance(chosen, ChosenTool):
        name = chosen.function.name
        if name not in names:
            said = f"tool_choice: {name[:200]!r} is not among the tools"
            raise Refusal(400, said, "invalid_value", param="tool_choice")
        begins = f'{OPENS}\n{{"name": {json.dumps(name)}, "arguments":'
        return Choice(frozenset({name}), begins, True)
    if chosen == "required":
        if not names:
            raise Refusal(400, "tool_choice: there are no tools", "invalid_value", param="tool_choice")
        return Choice(names, f'{OPENS}\n{{"name": "', True)
    return NO_CALLS if chosen == "none" else Choice(names, "", single and bool(names))
