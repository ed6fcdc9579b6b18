"""Assistant: a router, swapped specialists and a voice."""

from ullage.kinds.assistant.phases import phases
from ullage.kinds.assistant.section import Section


class _Kind:
    name = "assistant"
    section = Section
    phases = staticmethod(phases)
    runner = ""
    reporter = ""


KIND = _Kind()
