"""The shared prefix is computed once; then one row of a forward pass holds a text and all its candidates, or,
where they cannot be read together, one candidate."""

from __future__ import annotations

import math
from typing import Final

from ullage.kinds.pii.section import VERIFIER, Section
from ullage.kinds.pii.wording import wording_of
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
    asked = section.branch_tokens if wording_of(section, workload.roles[VERIFIER].model).once else 0
    scored = work.but(cached_tokens=shared, new_tokens=0, shard_bytes=1 if captures else 0)
    scored = scored.but(prompt_tokens=work.prompt_tokens + asked + section.prefix_tokens - shared)
    if reads_together(workload):
        more = (math.ceil(section.candidates_per_record) - 1) * asked
        scored = scored.but(prompt_tokens=scored.prompt_tokens + more, passes=1 / work.batch)
    found += generate(VERIFIER, held, scored, "score", captures)
    work = work.but(cached_tokens=section.prefix_tokens)
    if section.explained:
        longer = work.prompt_tokens + asked + EXPLAIN_TOKENS
        reasons = work.but(prompt_tokens=longer, passes=work.passes * section.explained)
        found += generate(VERIFIER, held, reasons, "explain")
    return found


def reads_together(workload: Workload) -> bool:
    """Whether all candidates of a text are planned to be read in one row: where the text stands before them,
    no states are kept (which are a candidate's own), and the engine does not share by itself what it can."""
    section, role = own_section(workload, Section), workload.roles[VERIFIER]
    together = wording_of(section, role.model).once and not stored_captures(VERIFIER, workload)
    return together and not role.runs_with.finds_prefixes and workload.memory.streaming_chunk_size is None
