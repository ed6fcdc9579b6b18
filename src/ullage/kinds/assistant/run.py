"""Answers a file of requests: each is routed, answered by a specialist and said by the voice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from ullage.engines.turns import Turns
from ullage.errors import EngineError, InputError
from ullage.kinds.assistant.crew import Crew
from ullage.kinds.assistant.development import SAID
from ullage.kinds.assistant.flow import Flow, Recalling
from ullage.kinds.assistant.memory.opening import open_memory
from ullage.kinds.assistant.requests import Request, Talk, in_rounds, read_requests
from ullage.kinds.assistant.rows import ANSWERS, PICTURES, WHOLE, answer_row, picture_row, read_answers
from ullage.kinds.assistant.section import Section
from ullage.kinds.assistant.summary import lines, summarize
from ullage.kinds.assistant.tools.toolbox import open_toolbox
from ullage.kinds.assistant.turn import Said, Turn
from ullage.phases.blocks import base_work, own_section
from ullage.records.failing import OUTCOME, count_failing
from ullage.records.lines import LineStore
from ullage.records.record import REMARKS
from ullage.runtime.session import Session


def run(session: Session) -> None:
    """Answers every request, some users' side by side; each round is on disk before the next.

    Raises InputError for requests that cannot be read, before any model is loaded, and EngineError where none
    was answered.
    """
    section = own_section(session.workload, Section)
    if section.input is None:
        raise InputError(
            "assistant: input: is missing, so there is nothing to run: name a file of requests, one line of "
            "JSON each, or talk with it: ullage chat FILE"
        )
    if session.workload.captures:
        raise InputError("captures: an assistant's run takes none; remove them, or plan them alone")
    requests = read_requests(session.path(section.input), session.plan.base)
    most = base_work(section.voice, session.workload).batch
    rounds = in_rounds(requests[:1] if session.smallest else requests, most)
    if section.development_mode:
        session.say(SAID)
    toolbox = open_toolbox(section.tools, section.tool_limits, session.plan.base)
    turns = Turns(session)
    store = turns.store(ANSWERS, (ANSWERS, PICTURES))
    crew = Crew(turns, section)
    recalling = Recalling(crew, section)
    before: dict[Talk, list[Said]] = {}
    for kept in read_answers(session.folder.path):
        if kept.said is not None:
            before.setdefault(kept.talk, []).append(kept.said)
    done = [unit for unit in store.done if isinstance(unit, int)]
    session.progress.start("requests", len(requests), sum(len(rounds[unit]) for unit in done))
    with open_memory(section.memory, session.plan.base, recalling.embedder, session.say) as memory:
        flow = Flow(crew, section, toolbox, memory, recalling)
        for number, some in enumerate(rounds):
            if number not in store.done:
                asked = _asked(some, before, section.development_mode)
                begun = time.monotonic()
                flow.answer(asked)
                waited = time.monotonic() - begun
                for turn in asked:
                    if turn.told and not turn.failed:
                        before.setdefault(turn.request.talk, []).append(Said(turn.request.text, turn.told))
                _keep(store, number, asked, crew, waited)
                session.examples += len(asked)
                session.progress.advance(len(asked), 0)
    store.finish()
    for name in session.plan.roles:
        turns.keep_usage(name)
    _summary(session, turns)


def _keep(store: LineStore, number: int, asked: Sequence[Turn], crew: Crew, waited: float) -> None:
    """A round's answers and pictures, with what is time, which no row has."""
    rows = {
        ANSWERS: [answer_row(turn) for turn in asked],
        PICTURES: [picture_row(turn) for turn in asked if turn.picture],
    }
    items = [turn.request.line for turn in asked]
    switches = [{"to": one.to, "here": one.here, "seconds": one.seconds} for one in crew.switches]
    seconds = [{**turn.seconds, WHOLE: waited} for turn in asked]
    store.add(number, rows, items=items, switches=switches, seconds=seconds)


def _asked(some: Sequence[Request], before: dict[Talk, list[Said]], development: bool) -> list[Turn]:
    return [Turn(request, tuple(before.get(request.talk, ())), development) for request in some]


def _summary(session: Session, turns: Turns) -> None:
    kept = [*read_answers(session.folder.path)]
    failing = count_failing("requests", (one.failed or None for one in kept))
    session.outcome[OUTCOME] = [failing.to_json()] if failing.failed else []
    session.outcome["requests"] = len(kept)
    session.outcome["fell_back"] = sum(one.fell_back for one in kept)
    session.outcome["specialists"] = dict(Counter(one.specialist for one in kept))
    session.outcome["usage"] = turns.usage()
    development = [SAID] if own_section(session.workload, Section).development_mode else []
    session.outcome[REMARKS] = [*development, *lines(summarize(session.folder.path))]
    if kept and failing.failed == len(kept):
        raise EngineError(f"no request was answered: {failing}")
