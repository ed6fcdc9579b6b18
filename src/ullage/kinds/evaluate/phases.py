"""Generate, then judge: one model in memory at a time, or all of them."""

from __future__ import annotations

from typing import Final

from ullage.kinds.evaluate.section import ENTAILMENT, GENERATOR, SIMILARITY, Section, judges
from ullage.phases.blocks import base_work, generate, load, own_section, probed, stored_captures
from ullage.phases.phase import Phase, Resident
from ullage.phases.residency import residency_of
from ullage.spec.workload import Workload

PROMPT: Final = 256
"""Tokens of instruction around question, references and answers where the file does not say."""


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Roles that stay are loaded first; each other one just before its turn.

    Under schedule `auto` the plan is made for `sequential`, which needs the least memory. Raises
    SpecError when the generator is missing or a role is unknown.
    """
    section = own_section(workload, Section)
    order = (GENERATOR, *judges(workload), SIMILARITY, ENTAILMENT)
    residency = residency_of(workload, order, "freed")
    found = residency.first_loads()
    for name in residency.names:
        held = residency.in_first_turn(name)
        if name not in residency.staying:
            found += load(name, held)
        found += _turn(name, workload, section, held)
    return found


def _turn(name: str, workload: Workload, section: Section, held: tuple[Resident, ...]) -> tuple[Phase, ...]:
    work, captures = base_work(name, workload), stored_captures(name, workload)
    work = work.but(shard_bytes=1 if captures else 0)  # each batch is a shard of its own
    answer = base_work(GENERATOR, workload).new_tokens
    if name == GENERATOR:
        written = work.but(passes=(1 + section.samples) / work.batch, probed=probed(name, workload))
        found = generate(name, held, written, captures=captures)
        if not section.p_true:
            return found
        # It reads its own answer, and the samples as ideas.
        asked = work.prompt_tokens + (1 + section.samples) * answer + PROMPT
        return found + generate(name, held, work.but(prompt_tokens=asked, new_tokens=0), "score")
    read = work.prompt_tokens
    if workload.roles[name].prompt_tokens is None:
        pair = name in (ENTAILMENT, section.clusters_by)
        read += answer if name == SIMILARITY else (2 if pair else 1) * answer + PROMPT
    by_text = name in judges(workload) and section.judge_by == "text"
    work = work.but(
        prompt_tokens=read,
        new_tokens=work.new_tokens if by_text else 0,
        passes=_texts(name, section, answer) / work.batch,
    )
    return generate(name, held, work, "score", captures)


def _texts(name: str, section: Section, answer: int) -> int:
    """How many texts a role reads per example, at most."""
    pairs = section.samples * (section.samples - 1)  # both ways round
    if name == ENTAILMENT:
        return max(pairs, 1)
    if name == SIMILARITY:
        return (1 + section.samples) * (1 + answer)  # each answer, whole and without each of its tokens
    return 1 + (pairs if name == section.clusters_by else 0)  # the greedy answer, and what it compares
