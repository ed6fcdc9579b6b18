"""Generate, then judge: one model in memory at a time, or all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from ullage.kinds.evaluate.section import ENTAILMENT, GENERATOR, SIMILARITY, Section, judges
from ullage.phases.blocks import (
    base_work,
    generate,
    is_local,
    load,
    own_section,
    probed,
    stored_captures,
)
from ullage.phases.hosted import Requests, requests_of
from ullage.phases.phase import Phase, Resident, Work
from ullage.phases.residency import residency_of
from ullage.spec.workload import Workload

SCORE: Final = "score"
"""The verb of reading answers."""
CHECK: Final = "check"
"""The verb of reading answers whose verdicts are known."""
PROMPT: Final = 256
"""Tokens of instruction around question, references and answers where the file does not say."""
AROUND: Final = 4
"""Special tokens around a pair of texts: three of BERT's, four of RoBERTa's."""


def phases(workload: Workload) -> tuple[Phase, ...]:
    """Roles that stay are loaded first; each other one just before its turn.

    In partitions every one of these goes from role to role anew. Under schedule `auto` the plan is made for
    `sequential`, which needs the least memory. Raises SpecError when the generator is missing or a role is
    unknown.
    """
    section = own_section(workload, Section)
    order = (GENERATOR, *judges(workload), SIMILARITY, ENTAILMENT)
    residency = residency_of(workload, order, "freed")
    found = residency.first_loads()
    partition = None if residency.stay else workload.partition
    each = None if partition is None else 1 / partition.settled(stay=False).most
    for name in residency.names:
        # From the second partition on those that come later wait too.
        held = residency.in_first_turn(name) if each is None else residency.while_active((name,))
        if name not in residency.staying:
            found += load(name, held, each)
        found += _turn(name, workload, section, held)
    return found


def requests(workload: Workload) -> Iterator[Requests]:
    """What the servers of remote roles are asked for an example, at most."""
    section = own_section(workload, Section)
    for name, role in workload.roles.items():
        if not is_local(role):
            yield from (requests_of(name, work) for _, work in _works(name, workload, section))


def _turn(name: str, workload: Workload, section: Section, held: tuple[Resident, ...]) -> tuple[Phase, ...]:
    captures = stored_captures(name, workload)
    found: tuple[Phase, ...] = ()
    for verb, work in _works(name, workload, section):
        of_answers = captures if verb == "" or (name != GENERATOR and verb == SCORE) else ()
        found += generate(name, held, work, verb, of_answers)
    if name == GENERATOR and section.samples and not (captures or probed(name, workload)):
        return tuple(_read_together(each, section.samples) for each in found)
    return found


def _works(name: str, workload: Workload, section: Section) -> tuple[tuple[str, Work], ...]:
    """What a role does, with the verb of each: "" for the generator's answers."""
    work = base_work(name, workload)
    work = work.but(shard_bytes=1 if stored_captures(name, workload) else 0)  # a batch is a shard of its own
    answer = base_work(GENERATOR, workload).new_tokens
    if name == GENERATOR:
        written = work.but(passes=(1 + section.samples) / work.batch, probed=probed(name, workload))
        if not section.p_true:
            return (("", written),)
        # It reads its own answer, and the samples as ideas.
        asked = work.prompt_tokens + (1 + section.samples) * answer + PROMPT
        return (("", written), (SCORE, work.but(prompt_tokens=asked, new_tokens=0)))
    read = work.prompt_tokens
    if workload.roles[name].prompt_tokens is None and workload.roles[name].labels:
        read = 2 * (read + answer) + AROUND
    elif workload.roles[name].prompt_tokens is None:
        pair = name in (ENTAILMENT, section.clusters_by)
        read += answer if name == SIMILARITY else (2 if pair else 1) * answer + PROMPT
    by_text = name in judges(workload) and section.judge_by == "text"
    work = work.but(
        prompt_tokens=read,
        new_tokens=work.new_tokens if by_text else 0,
        passes=_texts(name, section, answer, paired=bool(workload.roles[name].labels)) / work.batch,
    )
    known = known_answers(section, workload.examples)
    if name not in judges(workload) or not known:
        return ((SCORE, work),)
    return ((CHECK, work.but(passes=known / work.batch, shard_bytes=0)), (SCORE, work))


def _read_together(phase: Phase, samples: int) -> Phase:
    """The samples of a question in a batch read its prompt once."""
    work = phase.work
    if phase.verb or work.activity != "prefill":
        return phase
    return phase._replace(work=work.but(passes=_prompts_read(samples, work.batch) / work.batch))


def _prompts_read(samples: int, batch: int) -> float:
    """How often a question's prompt is read, on average: once for the greedy answer, and once in each batch
    that has samples of it. These lie one after the other, so batches of b cut a question's s samples into
    1 + (s - gcd(s, b)) / b parts."""
    return 2 + (samples - math.gcd(samples, batch)) / batch


def _texts(name: str, section: Section, answer: int, paired: bool) -> int:
    """How many texts a role reads per example, at most; `paired`: two of them at once."""
    pairs = section.samples * (section.samples - 1)  # both ways round
    if name == SIMILARITY and paired:
        return (1 + section.samples) * answer + pairs // 2
    if name == ENTAILMENT:
        return max(pairs, 1)
    if name == SIMILARITY:
        return (1 + section.samples) * (1 + answer)  # each answer, whole and without each of its tokens
    return 1 + (pairs if name == section.clusters_by else 0)  # the greedy answer, and what it compares


def known_answers(section: Section, examples: int) -> float:
    """How many answers whose verdicts are known a judge reads per example: a right one and a wrong one of so
    many questions."""
    return 2 * min(section.judge_check, examples) / examples if examples else 0.0
