"""Generate, then judge: one model in memory at a time, or all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ullage.spec.phase import Phase, Resident
from ullage.spec.workload import Workload
from ullage.workloads.evaluate.section import ROLES, Section
from ullage.workloads.stages import (
    base_work,
    captures_of,
    generate,
    is_local,
    load,
    own_section,
    residents,
    rest,
)

JUDGE_PROMPT: Final = 256
"""Tokens of instruction around question, references and answer where the file does not say."""


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Roles that stay are loaded first; each other one just before its turn.

    Under schedule `auto` the plan is made for `sequential`, which needs the least memory. Raises
    SpecError when the generator is missing or a role is unknown.
    """
    section = own_section(workload, Section)
    names = [n for n in ROLES if n in workload.roles and is_local(workload.roles[n])]
    rests = [(name, rest(name, workload, "freed")) for name in names]
    staying = [name for name, idle in rests if idle == "device"]
    found: list[Phase] = []
    for count, name in enumerate(staying, 1):
        here = staying[:count]
        known = [pair for pair in rests if pair[0] in here or pair[1] != "device"]
        found += load(name, residents(workload, known, here))
    for name in names:
        held = residents(workload, rests, (name,))
        if name not in staying:
            found += load(name, held)
        found += _turn(name, workload, section, held)
    return tuple(found)


def _turn(name: str, workload: Workload, section: Section, held: tuple[Resident, ...]) -> tuple[Phase, ...]:
    work, captures = base_work(name, workload), captures_of(name, workload)
    if name == "generator":
        work = replace(work, passes=(1 + section.samples) / work.batch)
        return generate(name, held, work, captures=captures)
    by_text = name == "judge" and section.judge_by == "text"
    read = work.prompt_tokens
    if workload.roles[name].prompt_tokens is None:
        answer = base_work("generator", workload).new_tokens
        # A judge reads question and answer, a small model two answers.
        read = read + answer + JUDGE_PROMPT if name == "judge" else 2 * answer
    work = replace(
        work,
        prompt_tokens=read,
        new_tokens=work.new_tokens if by_text else 0,
        passes=_texts(name, section) / work.batch,
    )
    return generate(name, held, work, "score", captures)


def _texts(name: str, section: Section) -> int:
    """How many texts a role reads per example."""
    if name == "judge":
        return 1  # the greedy answer
    if name == "entailment":
        return max(section.samples * (section.samples - 1), 1)  # each pair, both ways round
    return 1 + section.samples
