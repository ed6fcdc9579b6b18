"""Runs an evaluation: every question answered, then every answer judged, one role's turn after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice, repeat

from ullage.engines.engine import Chat, Engine, Prompt, Reply, Sampling
from ullage.engines.states import Asked
from ullage.engines.turns import Row, Turns
from ullage.kinds.evaluate.answers import Answer, answer_row, answers_by_question, tokens_of
from ullage.kinds.evaluate.asking import Asking, stops
from ullage.kinds.evaluate.checked import CHECKS, JudgeCheck, judge_checks, told_of
from ullage.kinds.evaluate.checking import known_answers
from ullage.kinds.evaluate.dataset import Questions
from ullage.kinds.evaluate.failing import OF_LOGPROBS, failures, without_logprobs
from ullage.kinds.evaluate.inquiries import Inquiries, Inquiry
from ullage.kinds.evaluate.judging import Judging
from ullage.kinds.evaluate.longest import Longest
from ullage.kinds.evaluate.meaning import TRUTH, truth_prompt
from ullage.kinds.evaluate.phases import CHECK, SCORE
from ullage.kinds.evaluate.questions import Question
from ullage.kinds.evaluate.relating import Relating
from ullage.kinds.evaluate.retrying import failed
from ullage.kinds.evaluate.right import right_answers
from ullage.kinds.evaluate.section import ENTAILMENT, GENERATOR, SIMILARITY, Section, judges
from ullage.kinds.evaluate.stages import GREEDY, P_TRUE, SAMPLES, answer_seed, check_stage
from ullage.phases.blocks import base_work, own_section
from ullage.probes.listening import open_probes
from ullage.probes.projections import Projections
from ullage.probes.replies import reply_scores
from ullage.records.failing import AGAIN, MOST, OUTCOME
from ullage.records.record import ENDED, REMARKS
from ullage.runtime.session import Session
from ullage.workloads.judgement import RIGHT, WRONG

Told = tuple[int, Question, Answer, list[Answer]]
"""A question's number, the question, its greedy answer, and its samples that there are."""


def run(session: Session) -> None:
    """Asks every question of the input and lets every judge judge, window by window of the input.

    Raises InputError for a question that cannot be read: for one of the first ten thousand before any model
    is loaded, for a later one, and for a prompt longer than the plan's, when it is reached.
    """
    section = own_section(session.workload, Section)
    questions = Questions(section, session.plan.base)
    _Evaluation(session, section, questions, Turns(session)).run()


@dataclass(slots=True)
class _Evaluation:
    session: Session
    section: Section
    questions: Questions
    turns: Turns
    _probes: Projections | None = field(init=False, default=None)

    def run(self) -> None:
        """One role after another."""
        workload = self.session.workload
        order: list[tuple[str, Callable[[str], None], tuple[str, ...]]] = [
            (GENERATOR, self._generate, (GREEDY, SAMPLES, P_TRUE)),
            *((name, self._judge, self._stages_of(name)) for name in judges(workload)),
            (SIMILARITY, self._relate, (SIMILARITY,)),
            (ENTAILMENT, self._entail, (ENTAILMENT,)),
        ]
        if not self.session.smallest:
            for remark in self.questions.remarks:
                self.session.say(remark)
        for name, work, stages in order:
            if name not in workload.roles or self._finished(stages):
                continue
            work(name)
            self.turns.keep_usage(name)
        self.turns.states.finish()
        self.session.outcome |= {"usage": self.turns.usage(), ENDED: datetime.now(UTC).date().isoformat()}
        self.session.outcome[CHECKS] = self._checks()
        self.session.examples = sum(1 for _ in self.turns.store(GREEDY).rows())
        self._tell_failed()

    def _checks(self) -> dict[str, JudgeCheck]:
        """How well each judge judges answers whose verdicts are known; what is said of that, below how many
        answers are right."""
        folder, workload = self.session.folder.path, self.session.workload
        if self.session.smallest:
            return {}
        found = judge_checks(folder, workload, self.section)
        right = right_answers(folder, workload, self.section, self.questions)
        judged = [told_of(name, check) for name, check in found.items()]
        self.session.outcome[REMARKS] = [*right, *judged, *self.questions.remarks]
        return found

    def _tell_failed(self) -> None:
        """What failed goes into the record, and what was not given is said."""
        folder, section = self.session.folder.path, self.section
        found = [*self.questions.unread(), *failures(folder, self.session.workload, section)]
        self.session.outcome |= {OUTCOME: [each.to_json() for each in found], MOST: section.max_failed}
        self.session.outcome[AGAIN] = failed(self.session.folder, self.session.workload)
        missing, answers = without_logprobs(folder)
        if missing:
            self.session.say(
                f"{GENERATOR}: {missing:,} of {answers:,} answers came without log-probabilities, and so "
                f"without {OF_LOGPROBS}"
            )

    def _stages_of(self, judge: str) -> tuple[str, ...]:
        clusters = judge == self.section.clusters_by and self.section.samples
        checks = self.section.judge_check and not self.session.smallest
        return (*((check_stage(judge),) if checks else ()), judge, *((ENTAILMENT,) if clusters else ()))

    def _finished(self, stages: Sequence[str]) -> bool:
        idle = {SAMPLES: not self.section.samples, P_TRUE: not self.section.p_true}
        return all(idle.get(stage, False) or self.turns.store(stage).finished for stage in stages)

    @property
    def _asked(self) -> Iterator[Question]:
        return islice(self.questions, 1) if self.session.smallest else iter(self.questions)

    @property
    def _about(self) -> int:
        """How many questions there are, for whoever waits."""
        return 1 if self.session.smallest else self.questions.about(self.session.workload.examples)

    def _generate(self, name: str) -> None:
        section, work = self.section, base_work(name, self.session.workload)
        probes = open_probes(self.session, name)
        self._probes = None if probes is None else probes.projections
        engine = self.turns.engine(name)
        if self._probes is not None:
            self.turns.states.multiply(name, self._probes.weights)
        stop = stops(section.style, section.chat) if section.stop is None else section.stop
        self._answer(engine, GREEDY, Sampling(work.new_tokens, stop=stop), 1)
        if section.samples:
            drawn = Sampling(work.new_tokens, section.temperature, section.top_p, stop)
            self._answer(engine, SAMPLES, drawn, section.samples)
        if section.p_true:
            self._ask_truth(engine, name)

    def _answer(self, engine: Engine, stage: str, sampling: Sampling, count: int) -> None:
        """`count` answers to each question; item i is answer i % count to question i // count."""
        section, phase = self.section, self.session.phase(GENERATOR)
        first = 0 if stage == GREEDY else 1
        asking = Asking(
            section.style, section.chat, section.instruction, section.template, self.questions.shots
        )
        longest = Longest(self.turns.longest(GENERATOR))

        def unit(batch: Sequence[tuple[int, tuple[Question, Prompt]]]) -> list[Row]:
            asked = [Asked(item // count, one.id, first + item % count) for item, (one, _) in batch]
            seeds = [answer_seed(section.seed, each.index, each.part) for each in asked]
            with self.turns.states.listening(engine, phase, stage, asked) as products:
                replies = engine.generate([prompt for _, (_, prompt) in batch], sampling, seeds)
            self.session.tokens += sum(tokens_of(each) for each in replies)
            rows = [
                answer_row(item // count, first + item % count, reply)
                for (item, _), reply in zip(batch, replies, strict=True)
            ]
            for row, reply, each in zip(rows, replies, products, strict=False):
                if self._probes is not None and isinstance(reply, Reply):
                    row["probes"] = reply_scores(self._probes, each, reply)
            return rows

        def lengths(some: Sequence[tuple[Question, Prompt]]) -> list[int]:
            return engine.lengths([prompt for _, prompt in some])

        prompted = ((question, asking.prompt(question)) for question in self._asked)
        measured = longest.checked(self.turns.measured(lengths, prompted))
        repeated = (one for one in measured for _ in range(1 if self.session.smallest else count))
        self.turns.work(stage, GENERATOR, "", repeated, unit, total=self._about * count)
        if longest.found and self.session.planned(GENERATOR) is not None:
            self.session.told_longest(GENERATOR, longest.found, longest.planned)

    def _ask_truth(self, engine: Engine, name: str) -> None:
        asked = (
            Inquiry(
                index,
                Asked(index, question.id),
                truth_prompt(question, answer.told, [one.told for one in drawn]),
                answer.failed,
            )
            for index, question, answer, drawn in self._told()
        )
        Inquiries(self.turns, engine, name).score(P_TRUE, asked, TRUTH, self._about)

    def _judge(self, name: str) -> None:
        section = self.section
        given = {
            "system": section.judge_system,
            "template": section.judge_template,
            "unanswerable": section.judge_unanswerable,
        }
        judging = Judging(section.verdicts, **{key: text for key, text in given.items() if text is not None})
        engine = self.turns.engine(name, SCORE)
        self._check(engine, name, judging)
        if ENTAILMENT in self._stages_of(name):
            self._compare(engine, name)
        asked = (
            Inquiry(index, Asked(index, question.id), judging.prompt(question, answer.told), answer.failed)
            for index, question, answer, _ in self._told(samples=False)
        )
        self._verdicts(Inquiries(self.turns, engine, name), name, asked, self._about)

    def _check(self, engine: Engine, name: str, judging: Judging) -> None:
        """Has a judge judge answers whose verdicts are known, before any other."""
        section = self.section
        if not section.judge_check or self.session.smallest:
            return
        known = known_answers(self.questions, section.judge_check, section.seed)
        asked = (
            Inquiry(
                (one.index, one.question.id, RIGHT if one.right else WRONG),
                Asked(one.index, one.question.id, int(not one.right)),
                judging.prompt(one.question, one.answer),
            )
            for one in known
        )
        put = Inquiries(self.turns, engine, name, CHECK)
        self._verdicts(put, check_stage(name), asked, len(known))

    def _verdicts(self, put: Inquiries, stage: str, asked: Iterator[Inquiry[Chat]], total: int) -> None:
        if self.section.judge_by == "probabilities":
            put.weigh(stage, asked, self.section.verdicts, total)
        else:
            put.write(stage, asked, Sampling(base_work(put.name, self.session.workload).new_tokens), total)

    def _relate(self, name: str) -> None:
        told = (
            (index, question, [one for one in (answer, *drawn) if not one.failed])
            for index, question, answer, drawn in self._told()
        )
        Relating(self.turns, name, self._about).alike(self.turns.engine(name, SCORE), told)

    def _entail(self, name: str) -> None:
        self._compare(self.turns.engine(name, SCORE), name)

    def _compare(self, engine: Engine, name: str) -> None:
        told = ((index, question, drawn) for index, question, _, drawn in self._told())
        labels = self.session.workload.roles[name].labels
        Relating(self.turns, name, self._about).implied(engine, told, labels)

    def _told(self, samples: bool = True) -> Iterator[Told]:
        """Every question with what was answered; without `samples` none of those."""
        greedy = answers_by_question(self.turns.store(GREEDY).rows(), 1)
        count = self.section.samples if samples and not self.session.smallest else 0
        drawn = (
            answers_by_question(self.turns.store(SAMPLES).rows(), count) if count else repeat(list[Answer]())
        )
        for index, (question, (answer,), several) in enumerate(zip(self._asked, greedy, drawn, strict=False)):
            yield index, question, answer, [one for one in several if not one.failed]
