"""An evaluation in partitions: each answers its questions and has them judged; what is said of all of them is
said at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, cast

from ullage.engines.turns import Turns
from ullage.errors import InputError, UnsupportedError
from ullage.files import placed
from ullage.kinds.evaluate import ending
from ullage.kinds.evaluate.dataset import OTHERS, Questions
from ullage.kinds.evaluate.section import Section
from ullage.phases.blocks import own_section
from ullage.planning.plan import Plan
from ullage.runtime.session import Session
from ullage.workloads.cutting import Look

PROOFS: Final = "proofs"


def input_of(plan: Plan) -> Path:
    """The file that is cut. Raises UnsupportedError for work that is of the whole input."""
    section = own_section(plan.workload, Section)
    if not section.files():
        raise InputError("evaluate: input: is missing; name a file of questions")
    if len(section.files()) > 1:
        raise UnsupportedError("evaluate.input: names several files, and one is cut; put them together first")
    if section.shots:
        raise UnsupportedError(
            "evaluate.shots: worked examples are questions of the whole input; use shots: 0, or leave "
            "partition out"
        )
    if plan.workload.probes:
        raise UnsupportedError("probes: an evaluation in partitions scores none; leave probes out")
    path = placed(section.files()[0], plan.base)
    if path.is_dir() or path.suffix in OTHERS:
        raise UnsupportedError(
            f"{section.files()[0]}: only plain JSON lines are cut into partitions; convert it first"
        )
    return path


@contextmanager
def looked_over(session: Session) -> Iterator[Look]:
    """Raises InputError for a record that holds no question, and for one whose id an earlier one has: whoever
    does one partition sees no other."""
    section = own_section(session.workload, Section)
    questions = Questions(section, session.plan.base)
    for remark in questions.remarks:
        session.say(remark)
    held = groupby(questions.numbered(), itemgetter(0))
    coming, asked = next(held, None), 0

    def look(number: int, line: bytes) -> int | None:
        nonlocal coming, asked
        if section.limit is not None and asked >= section.limit:
            return None
        if coming is None or coming[0] != number:
            return 0  # no question of this record can be read
        count = sum(1 for _ in coming[1])
        coming, asked = next(held, None), asked + count
        return count

    yield look


def conclude(session: Session, outcomes: Iterable[Mapping[str, object]]) -> None:
    """Ends the whole from what the partitions left, and said: of each role that was freed, the last time."""
    freed: dict[str, Any] = {}
    proofs: dict[str, object] = {}
    for outcome in outcomes:
        freed |= {each["role"]: each for each in cast("list[Any]", outcome.get("freed", []))}
        proofs |= cast("dict[str, object]", outcome.get(PROOFS, {}))
    session.freed += [each for role, each in freed.items() if role not in session.residents.here()]
    session.outcome |= {PROOFS: proofs} if proofs else {}
    section = own_section(session.workload, Section)
    ending.conclude(session, Turns(session), section, Questions(section, session.plan.base))
