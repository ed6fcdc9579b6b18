"""Runs an evaluation: every question answered, then every answer judged, one role's turn after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat

from ullage.engines.engine import Chat, Engine, Prompt, Reply, Sampling
from ullage.engines.states import Asked
from ullage.engines.turns import Row, Turns
from ullage.kinds.evaluate.answers import Answer, answer_row, answers_by_question, left_out_row, tokens_of
from ullage.kinds.evaluate.asking import Asking, stops
from ullage.kinds.evaluate.checking import known_answers
from ullage.kinds.evaluate.dataset import Questions
from ullage.kinds.evaluate.ending import conclude
from ullage.kinds.evaluate.inquiries import Inquiries, Inquiry
from ullage.kinds.evaluate.judging import Judging
from ullage.kinds.evaluate.longest import Longest
from ullage.kinds.evaluate.meaning import TRUTH, truth_prompt
from ullage.kinds.evaluate.phases import CHECK, SCORE
from ullage.kinds.evaluate.questions import Question
from ullage.kinds.evaluate.relating import Relating
from ullage.kinds.evaluate.section import ENTAILMENT, GENERATOR, SIMILARITY, Section, judges
from ullage.kinds.evaluate.stages import GREEDY, P_TRUE, SAMPLES, answer_seed, check_stage
from ullage.phases.blocks import base_work, own_section
from ullage.probes.listening import open_probes
from ullage.probes.projections import Projections
from ullage.probes.replies import reply_scores
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
    questions = Questions(section, session.plan.base, session.part)
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
        if self.session.part is None:
            conclude(self.session, self.turns, self.section, self.questions)
        else:
            self.session.examples = sum(1 for _ in self.turns.store(GREEDY).rows())
            self.session.outcome["freed"] = self.session.freed

    def _stages_of(self, judge: str) -> tuple[str, ...]:
        clusters = judge == self.section.clusters_by and self.section.samples
        return (*((check_stage(judge),) if self._checks else ()), judge, *((ENTAILMENT,) if clusters else ()))

    @property
    def _checks(self) -> bool:
        """Whether judges are judged; of partitions the first has that done, on questions of the whole
        input."""
        first = self.session.part is None or self.session.part.number == 0
        return bool(self.section.judge_check) and not self.session.smallest and first

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

        left_out = self.questions.left_out()

        def unless_left_out(batch: Sequence[tuple[int, tuple[Question, Prompt]]]) -> list[Row]:
            asked = [each for each in batch if each[0] // count not in left_out]
            found = dict(zip((item for item, _ in asked), unit(asked) if asked else (), strict=True))
            return [
                found[item]
                if item in found
                else left_out_row(item // count, first + item % count, left_out[item // count])
                for item, _ in batch
            ]

        def lengths(some: Sequence[tuple[Question, Prompt]]) -> list[int]:
            return engine.lengths([prompt for _, prompt in some])

        prompted = ((question, asking.prompt(question)) for question in self._asked)
        measured = longest.checked(self.turns.measured(lengths, prompted))
        repeated = (one for one in measured for _ in range(1 if self.session.smallest else count))
        self.turns.work(
            stage, GENERATOR, "", repeated, unless_left_out, total=self._about * count, of_each=count
        )
        whole = self.session.part is None
        if longest.found and whole and self.session.planned(GENERATOR) is not None:
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
        if not self._checks:
            return
        apart = self.session.part is not None
        whole = Questions(section, self.session.plan.base) if apart else self.questions
        known = known_answers(whole, section.judge_check, section.seed)
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
        begin = 0 if self.session.part is None else self.session.part.item
        greedy = answers_by_question(self.turns.store(GREEDY).rows(), 1, begin)
        count = self.section.samples if samples and not self.session.smallest else 0
        drawn = (
            answers_by_question(self.turns.store(SAMPLES).rows(), count, begin)
            if count
            else repeat(list[Answer]())
        )
        asked = zip(self._asked, greedy, drawn, strict=False)
        for index, (question, (answer,), several) in enumerate(asked, begin):
            yield index, question, answer, [one for one in several if not one.failed]
