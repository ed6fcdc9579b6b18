"""Evaluate: generate answers, then judge them."""

from ullage.kinds.evaluate.phases import phases
from ullage.kinds.evaluate.section import Section


class _Kind:
    name = "evaluate"
    section = Section
    phases = staticmethod(phases)
    runner = "ullage.kinds.evaluate.run"
    reporter = "ullage.kinds.evaluate.results"


KIND = _Kind()
