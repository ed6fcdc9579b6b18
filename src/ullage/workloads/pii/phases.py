"""The shared prefix is computed once; then one forward pass per candidate compares verdict tokens."""

from __future__ import annotations

from dataclasses import replace

from ullage.spec.phase import Phase
from ullage.spec.workload import Workload
from ullage.workloads.pii.section import Section
from ullage.workloads.stages import base_work, check_roles, generate, hold, load

VERIFIER = "verifier"


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Raises SpecError unless the one role is `verifier`. An example is one record."""
    check_roles(workload, (VERIFIER,), (VERIFIER,))
    section = workload.section
    assert isinstance(section, Section)
    held = (hold(VERIFIER, workload),)
    work = base_work(VERIFIER, workload)
    passes = section.candidates_per_record / work.batch
    scored = replace(work, new_tokens=0, cached_tokens=section.prefix_tokens, passes=passes)
    found = load(VERIFIER, held) + generate(VERIFIER, held, scored, "score")
    if section.explain_fraction and work.new_tokens:
        explained = replace(
            work,
            cached_tokens=section.prefix_tokens,
            passes=passes * section.explain_fraction,
        )
        found += generate(VERIFIER, held, explained, "explain")
    return found
