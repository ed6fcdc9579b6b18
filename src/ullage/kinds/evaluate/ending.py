"""Ends an evaluation whose rows are all on disk: what its record says of them."""

from __future__ import annotations

from datetime import UTC, datetime

from ullage.engines.turns import Turns
from ullage.kinds.evaluate.checked import CHECKS, judge_checks, told_of
from ullage.kinds.evaluate.dataset import Questions
from ullage.kinds.evaluate.failing import OF_LOGPROBS, failures, without_logprobs
from ullage.kinds.evaluate.retrying import failed
from ullage.kinds.evaluate.right import right_answers
from ullage.kinds.evaluate.section import GENERATOR, Section
from ullage.kinds.evaluate.stages import GREEDY
from ullage.records.failing import AGAIN, MOST, OUTCOME
from ullage.records.record import ENDED, REMARKS
from ullage.runtime.session import Session


def conclude(session: Session, turns: Turns, section: Section, questions: Questions) -> None:
    """Counts, and says how many answers are right and how well each judge judges; `questions` are all."""
    turns.states.finish()
    session.outcome |= {"usage": turns.usage(), ENDED: datetime.now(UTC).date().isoformat()}
    _tell_checks(session, section, questions)
    session.examples = sum(1 for _ in turns.store(GREEDY).rows())
    _tell_failed(session, section, questions)


def _tell_checks(session: Session, section: Section, questions: Questions) -> None:
    """How well each judge judges answers whose verdicts are known; what is said of that, below how many
    answers are right."""
    folder, workload = session.folder.path, session.workload
    if session.smallest:
        session.outcome[CHECKS] = {}
        return
    found = judge_checks(folder, workload, section)
    right = right_answers(folder, workload, section, questions)
    judged = [told_of(name, check) for name, check in found.items()]
    session.outcome |= {CHECKS: found, REMARKS: [*right, *judged, *questions.remarks]}


def _tell_failed(session: Session, section: Section, questions: Questions) -> None:
    """What failed goes into the record, and what was not given is said."""
    folder = session.folder.path
    found = [*questions.unread(), *failures(folder, session.workload, section)]
    session.outcome |= {OUTCOME: [each.to_json() for each in found], MOST: section.max_failed}
    session.outcome[AGAIN] = failed(session.folder, session.workload)
    missing, answers = without_logprobs(folder)
    if missing:
        session.say(
            f"{GENERATOR}: {missing:,} of {answers:,} answers came without log-probabilities, and so "
            f"without {OF_LOGPROBS}"
        )
