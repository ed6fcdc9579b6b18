"""PII: verify personal-data candidates with a small model."""

from ullage.kinds.pii.phases import phases
from ullage.kinds.pii.section import Section


class _Kind:
    name = "pii"
    section = Section
    phases = staticmethod(phases)
    runner = "ullage.kinds.pii.run"
    reporter = "ullage.kinds.pii.results"


KIND = _Kind()
