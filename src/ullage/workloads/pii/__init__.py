"""PII: verify personal-data candidates with a small model."""

from ullage.workloads.pii.phases import phases
from ullage.workloads.pii.section import Section


class _Kind:
    name = "pii"
    section = Section
    phases = staticmethod(phases)
    runner = "ullage.workloads.pii.run"
    reporter = "ullage.workloads.pii.results"


KIND = _Kind()
