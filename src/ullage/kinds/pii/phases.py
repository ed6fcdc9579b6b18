"""The shared prefix is computed once; then one forward pass per candidate compares verdict
tokens."""

from __future__ import annotations

from typing import Final

from ullage.kinds.pii.section import VERIFIER, Section
from ullage.phases.blocks import PREFIX, base_work, generate, hold, load, own_section, stored_captures
from ullage.phases.phase import Phase
from ullage.spec.workload import Workload

EXPLAIN_TOKENS: Final = 32
"""Planned for a verdict, the question why, and what a template writes around them."""


def phases(workload: Workload) -> tuple[Phase, ...]:
    """An example is one record; its candidates are located, scored, some of them explained.

    Some engines find shared prefixes by themselves. Raises SpecError unless the one role is `verifier`.
    """
    section = own_section(workload, Section)
    held = (hold(VERIFIER, workload),)
    captures = stored_captures(VERIFIER, workload)
    work = base_work(VERIFIER, workload)
    work = work.but(passes=section.candidates_per_record / work.batch)
    found = load(VERIFIER, held)
    # States of every position are read with every prompt, so that no batch depends on the one before.
    whole = any(capture.positions != "last" for capture in captures)
    shared = 0 if whole else section.prefix_tokens
    if shared and not workload.roles[VERIFIER].runs_with.finds_prefixes:
        prefix = work.but(batch=1, prompt_tokens=shared, new_tokens=0)
        once = generate(VERIFIER, held, prefix, PREFIX, logits="none")
        found += tuple(phase._replace(once=True) for phase in once)
    if section.locate:
        found += generate(VERIFIER, held, work, "locate")
    scored = work.but(cached_tokens=shared, new_tokens=0, shard_bytes=1 if captures else 0)
    scored = scored.but(prompt_tokens=work.prompt_tokens + section.prefix_tokens - shared)
    found += generate(VERIFIER, held, scored, "score", captures)
    work = work.but(cached_tokens=section.prefix_tokens)
    if section.explained:
        longer = work.prompt_tokens + EXPLAIN_TOKENS
        reasons = work.but(prompt_tokens=longer, passes=work.passes * section.explained)
        found += generate(VERIFIER, held, reasons, "explain")
    return found
