"""Assistant: a router, swapped specialists and a voice."""

from ullage.workloads.assistant.phases import phases
from ullage.workloads.assistant.section import Section


class _Kind:
    name = "assistant"
    section = Section
    phases = staticmethod(phases)
    runner = ""
    reporter = ""


KIND = _Kind()
