"""Models speak and choose for all players of many games; probes read what they say as they do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from ullage.kinds.werewolf.growth import Asked, asks_of
from ullage.kinds.werewolf.section import JUDGE, Section
from ullage.phases.blocks import (
    base_work,
    generate,
    hold,
    is_local,
    load,
    own_section,
    probed,
    spoken,
    stored_captures,
    ways,
)
from ullage.phases.hosted import Requests, requests_of
from ullage.phases.phase import Phase, Resident, Work
from ullage.phases.residency import rest
from ullage.spec.workload import Workload

CHOOSE: Final = "choose"
"""The verb of answering with one of the legal choices."""
STRIPPED: Final = "score"
"""The verb of reading a statement again, without what the speaker's identity lets it know."""
SCORE: Final = "score"
"""The verb of the judge."""
JUDGED_TOKENS: Final = 160
"""Of a judge's prompt beside what the speaker had read and said: what is asked, and who everybody is."""
CHOICE_TOKENS: Final = 32
"""Of a choice that is written: a name, or a line of structured text."""


def phases(workload: Workload) -> tuple[Phase, ...]:
    """An example is one game in each condition. Every player stays in memory, for players speak in turns; a
    judge follows them, alone unless it is to stay.

    A prompt is billed as `prompt_tokens` long, which is as long as it may grow; passes are so many as the
    prompts, which grow with the talk, hold as many tokens. Raises SpecError where the section objects.
    """
    section = own_section(workload, Section)
    shares = section.played_by()
    names = [name for name in workload.roles if name in shares and is_local(workload.roles[name])]
    judges = JUDGE in workload.roles and is_local(workload.roles[JUDGE])
    stays = judges and rest(JUDGE, workload, "freed") == "device"
    held = tuple(hold(name, workload) for name in (*names, *([JUDGE] if stays else [])))
    found: tuple[Phase, ...] = ()
    for count, resident in enumerate(held, 1):
        found += load(resident.name, held[:count])
    for name in names:
        found += _turns(name, workload, section, held, shares[name] / section.rules.players)
    if not judges:
        return found
    beside = held if stays else (hold(JUDGE, workload),)
    captures = stored_captures(JUDGE, workload)
    work = _judged(workload, section).but(shard_bytes=1 if captures else 0)
    return found + (() if stays else load(JUDGE, beside)) + generate(JUDGE, beside, work, SCORE, captures)


def requests(workload: Workload) -> Iterator[Requests]:
    """What the servers of remote roles are asked for an example: a player's asks as long as they are on
    average, and of a judge every statement."""
    section = own_section(workload, Section)
    for name, seats in section.played_by().items():
        if is_local(workload.roles[name]):
            continue
        work, share = base_work(name, workload), seats / section.rules.players
        weighed = section.choose_by == "probabilities"
        for sort, tokens in (("text", work.new_tokens), ("choice", 1 if weighed else CHOICE_TOKENS)):
            prompts = [each.prompt for each in _asks(section, work) if each.sort == sort]
            if prompts:
                average = math.ceil(sum(prompts) / len(prompts))
                yield Requests(name, len(prompts) * share, average, tokens)
    if JUDGE in workload.roles and not is_local(workload.roles[JUDGE]):
        yield requests_of(JUDGE, _judged(workload, section))


def _asks(section: Section, work: Work) -> list[Asked]:
    """Every ask of a game in each condition."""
    return [
        asked
        for arm in section.arms
        for asked in asks_of(arm.changed(section.rules), work.new_tokens, work.prompt_tokens)
    ]


def _judged(workload: Workload, section: Section) -> Work:
    """What the judge reads: every statement, at most, after what its speaker had read."""
    work = base_work(JUDGE, workload)
    players = [base_work(name, workload) for name in section.played_by() if name in workload.roles]
    if workload.roles[JUDGE].prompt_tokens is None:
        longest = max(each.prompt_tokens + each.new_tokens for each in players)
        work = work.but(prompt_tokens=longest + JUDGED_TOKENS)
    said = sum(asked.spoken for asked in _asks(section, players[0]))
    written = work.new_tokens if section.judge_by == "text" else 0
    return work.but(new_tokens=written, passes=said / work.batch)


def _turns(
    name: str, workload: Workload, section: Section, held: tuple[Resident, ...], share: float
) -> tuple[Phase, ...]:
    """What role `name` says and chooses in its `share` of the asks of a game in every condition."""
    captures = stored_captures(name, workload)
    work = base_work(name, workload).but(shard_bytes=1 if captures else 0)  # each batch is a shard of its own
    asks = _asks(section, work)
    texts = [each for each in asks if each.sort == "text"]
    choices = [each for each in asks if each.sort == "choice"]
    # In a game one speaks after the other: no more speak at once than there are games.
    turns = share * work.batch / min(work.batch, max(workload.examples, 1) * len(section.arms))
    heard = work.but(probed=probed(name, workload))
    found = spoken(name, held, _passes(ways(workload.roles[name], heard, captures), texts, turns))
    chosen = work.but(new_tokens=0 if section.choose_by == "probabilities" else CHOICE_TOKENS)
    found += spoken(name, held, _passes(ways(workload.roles[name], chosen), choices, turns), CHOOSE)
    if section.score_without_role_context and probed(name, workload):
        said = [each for each in asks if each.spoken]
        longer = work.prompt_tokens + work.new_tokens
        again = heard.but(prompt_tokens=longer, new_tokens=0, passes=len(said) * share / work.batch)
        found += generate(name, held, again, STRIPPED, captures)
    return found


def _passes(works: tuple[Work, ...], asks: list[Asked], share: float) -> tuple[Work, ...]:
    """Each of `works` as often as the asks need: reading counts by its tokens, writing by its texts."""
    read = sum(each.prompt for each in asks)
    return tuple(
        work.but(
            passes=share
            * (read / work.prompt_tokens if work.activity == "prefill" else len(asks))
            / work.batch
        )
        for work in works
    )
