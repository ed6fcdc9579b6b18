"""Extract: capture hidden states of texts, or of what a model generates."""

from ullage.kinds.extract.phases import phases
from ullage.kinds.extract.section import Section


class _Kind:
    name = "extract"
    section = Section
    phases = staticmethod(phases)
    runner = "ullage.kinds.extract.run"
    reporter = ""


KIND = _Kind()
