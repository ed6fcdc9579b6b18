"""Evaluate: generate answers, then judge them."""

from ullage.workloads.evaluate.phases import phases
from ullage.workloads.evaluate.section import Section


class _Kind:
    name = "evaluate"
    section = Section
    phases = staticmethod(phases)
    runner = "ullage.workloads.evaluate.run"
    reporter = "ullage.workloads.evaluate.results"


KIND = _Kind()
