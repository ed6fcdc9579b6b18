"""Extract: capture hidden states of texts, or of what a model generates."""

from ullage.workloads.extract.phases import phases
from ullage.workloads.extract.section import Section


class _Kind:
    name = "extract"
    section = Section
    phases = staticmethod(phases)
    runner = "ullage.workloads.extract.run"
    reporter = ""


KIND = _Kind()
