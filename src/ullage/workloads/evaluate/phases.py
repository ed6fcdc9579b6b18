"""Generate, then judge: one model in memory at a time, or both."""

from __future__ import annotations

from dataclasses import replace

from ullage.spec.phase import Phase, Resident
from ullage.spec.workload import Workload
from ullage.workloads.evaluate.section import Section
from ullage.workloads.stages import (
    base_work,
    captures_of,
    check_roles,
    generate,
    hold,
    is_local,
    load,
)

ROLES = ("generator", "judge", "similarity", "entailment")
"""The last two are optional: small models for relevance and semantic clusters."""
JUDGE_PROMPT = 256
"""Tokens of instruction around question, references and answer where the file does not say."""


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Raises SpecError when the generator is missing or a role is unknown.

    Under schedule `auto` the plan is made for `sequential`, which needs the least memory.
    """
    check_roles(workload, ("generator",), ROLES)
    names = [name for name in ROLES if name in workload.roles]
    together = workload.schedule in ("simultaneous", "persistent")
    found: list[Phase] = []
    if together:
        held: tuple[Resident, ...] = ()
        for name in names:
            held += (hold(name, workload),)
            found += load(name, held)
        for name in names:
            found += _run(name, workload, held)
        return tuple(found)
    for name in names:
        held = (hold(name, workload),)
        found += load(name, held)
        found += _run(name, workload, held)
    return tuple(found)


def _run(name: str, workload: Workload, held: tuple[Resident, ...]) -> tuple[Phase, ...]:
    role = workload.roles[name]
    if not is_local(role):
        return ()
    section = workload.section
    assert isinstance(section, Section)
    work = base_work(name, workload)
    if name == "generator":
        work = replace(work, passes=(1 + section.samples) / work.batch)
        return generate(name, held, work, captures=captures_of(name, workload))
    if role.prompt_tokens is None:
        answer = workload.roles["generator"].new_tokens
        answer = workload.new_tokens if answer is None else answer
        work = replace(work, prompt_tokens=work.prompt_tokens + answer + JUDGE_PROMPT)
    by_text = name == "judge" and section.judge_by == "text"
    work = replace(work, passes=1 / work.batch, new_tokens=work.new_tokens if by_text else 0)
    return generate(name, held, work, "score" if not by_text else "")
