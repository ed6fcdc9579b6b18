"""Runs an evaluation: every question answered, then every answer judged, one role's turn after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ullage.engines.engine import Chat, Embedding, Engine, Failure, Prompt, Sampling
from ullage.engines.row import seed_of
from ullage.engines.states import Asked
from ullage.engines.turns import Row, Turns
from ullage.errors import InputError, UnsupportedError
from ullage.kinds.evaluate.answers import Answer, answer_row, read_answers
from ullage.kinds.evaluate.asking import Asking, stops
from ullage.kinds.evaluate.dataset import open_questions
from ullage.kinds.evaluate.judging import Judging
from ullage.kinds.evaluate.meaning import (
    ENTAILS,
    TRUTH,
    beside,
    entailment_prompt,
    pairs,
    truth_prompt,
    without_each_token,
)
from ullage.kinds.evaluate.questions import Question
from ullage.kinds.evaluate.section import ENTAILMENT, GENERATOR, SIMILARITY, Section, judges
from ullage.phases.blocks import base_work, own_section
from ullage.runtime.session import Session

GREEDY, SAMPLES, P_TRUE = "greedy", "samples", "p_true"
SCORE = "score"  # what a role does that reads answers: the verb of its phase
Key = TypeVar("Key", int, tuple[int, str, str])
"""What a prompt is about: a question, or two samples of one."""


def run(session: Session) -> None:
    """Asks every question of the input and lets every judge judge.

    Raises InputError for questions that cannot be read, before any model is loaded, and for prompts longer
    than the plan's.
    """
    section = own_section(session.workload, Section)
    shots, questions = open_questions(section, session.plan.base)
    kept = questions[:1] if session.smallest else questions
    _Evaluation(session, section, kept, shots, Turns(session)).run()


@dataclass(slots=True)
class _Evaluation:
    session: Session
    section: Section
    questions: Sequence[Question]
    shots: tuple[Question, ...]
    turns: Turns

    def run(self) -> None:
        """One role after another."""
        workload = self.session.workload
        order: list[tuple[str, Callable[[str], None], tuple[str, ...]]] = [
            (GENERATOR, self._generate, (GREEDY, SAMPLES, P_TRUE)),
            *((name, self._judge, self._stages_of(name)) for name in judges(workload)),
            (SIMILARITY, self._relate, (SIMILARITY,)),
            (ENTAILMENT, self._entail, (ENTAILMENT,)),
        ]
        for name, work, stages in order:
            if name not in workload.roles or self._finished(stages):
                continue
            work(name)
            self.turns.keep_usage(name)
        self.turns.states.finish()
        self.session.outcome["usage"] = self.turns.usage()
        self.session.examples = len(self.questions)
        self.session.tokens = sum(
            answer.prompt_tokens + len(answer.tokens)
            for stage in (GREEDY, SAMPLES)
            for answer in read_answers(self.turns.store(stage).rows()).values()
        )

    def _stages_of(self, judge: str) -> tuple[str, ...]:
        clusters = judge == self.section.clusters_by and self.section.samples
        return (judge, ENTAILMENT) if clusters else (judge,)

    def _finished(self, stages: Sequence[str]) -> bool:
        idle = {SAMPLES: not self.section.samples, P_TRUE: not self.section.p_true}
        return all(idle.get(stage, False) or self.turns.store(stage).finished for stage in stages)

    def _generate(self, name: str) -> None:
        section, work = self.section, base_work(name, self.session.workload)
        engine = self.turns.engine(name)
        asking = Asking(section.style, section.chat, section.instruction, section.template, self.shots)
        prompts = [asking.prompt(question) for question in self.questions]
        lengths = engine.lengths(prompts)
        self._check_lengths(name, lengths)
        stop = stops(section.style, section.chat) if section.stop is None else section.stop
        greedy = Sampling(work.new_tokens, stop=stop)
        self._answer(engine, GREEDY, prompts, lengths, greedy, 1)
        if section.samples:
            drawn = Sampling(work.new_tokens, section.temperature, section.top_p, stop)
            self._answer(engine, SAMPLES, prompts, lengths, drawn, section.samples)
        if section.p_true:
            self._ask_truth(engine, name)

    def _asked(self, index: int, part: int = 0) -> Asked:
        return Asked(index, self.questions[index].id, part)

    def _check_lengths(self, name: str, lengths: Sequence[int]) -> None:
        most = self.turns.longest(name)
        for question, length in zip(self.questions, lengths, strict=True):
            if length > most:
                raise InputError(
                    f"evaluate.input: question {question.id!r}: its prompt has {length:,} tokens, the "
                    f"plan is for prompt_tokens: {most:,}; raise it"
                )
        if self.session.planned(name) is not None:
            self.session.told_longest(name, max(lengths), most)

    def _answer(
        self,
        engine: Engine,
        stage: str,
        prompts: Sequence[Prompt],
        lengths: Sequence[int],
        sampling: Sampling,
        count: int,
    ) -> None:
        """`count` answers to each prompt; item i is answer i % count to prompt i // count."""
        first, phase = 0 if stage == GREEDY else 1, self.session.phase(GENERATOR)

        def unit(batch: Sequence[int]) -> list[Row]:
            seeds = [seed_of(self.section.seed, item) for item in batch]
            asked = [self._asked(item // count, first + item % count) for item in batch]
            with self.turns.states.listening(engine, phase, stage, asked):
                replies = engine.generate([prompts[item // count] for item in batch], sampling, seeds)
            return [
                answer_row(item // count, first + item % count, reply)
                for item, reply in zip(batch, replies, strict=True)
            ]

        repeated = [length for length in lengths for _ in range(count)]
        if self.session.smallest:
            repeated = repeated[:1]
        self.turns.work(stage, GENERATOR, "", repeated, unit)

    def _ask_truth(self, engine: Engine, name: str) -> None:
        ideas = self._sampled()
        prompts: dict[int, Chat] = {
            index: truth_prompt(self.questions[index], answer.text, ideas.get(index, []))
            for index, answer in self._greedy().items()
        }
        self._score(engine, P_TRUE, name, prompts, TRUTH)

    def _judge(self, name: str) -> None:
        section = self.section
        given = {
            "system": section.judge_system,
            "template": section.judge_template,
            "unanswerable": section.judge_unanswerable,
        }
        judging = Judging(section.verdicts, **{key: text for key, text in given.items() if text is not None})
        engine = self.turns.engine(name, SCORE)
        prompts = {
            index: judging.prompt(self.questions[index], answer.text)
            for index, answer in self._greedy().items()
        }
        if ENTAILMENT in self._stages_of(name):
            self._compare(engine, name)
        if section.judge_by == "probabilities":
            self._score(engine, name, name, prompts, section.verdicts)
            return
        sampling = Sampling(base_work(name, self.session.workload).new_tokens)

        def write(batch: Sequence[Chat]) -> list[Row]:
            replies = engine.generate(batch, sampling, [0] * len(batch))
            return [
                {"failed": one.reason} if isinstance(one, Failure) else {"text": one.text, "stop": one.stop}
                for one in replies
            ]

        self._each(engine, name, name, prompts, write)

    def _relate(self, name: str) -> None:
        """How alike each answer is to itself without each token, and to the others of its question."""
        engine = self.turns.engine(name, SCORE)
        if not isinstance(engine, Embedding):
            raise UnsupportedError(f"roles.{name}: only engine transformers gives similarities")
        by_question: dict[int, list[Answer]] = {}
        for _, answer in sorted((self._answers(GREEDY) | self._answers(SAMPLES)).items()):
            if not answer.failed:
                by_question.setdefault(answer.index, []).append(answer)
        limits = self.turns.limits(name, SCORE)

        def unit(batch: Sequence[int]) -> list[Row]:
            (index,) = batch
            question, answers = self.questions[index], by_question.get(index, [])
            whole = [beside(question, answer.text) for answer in answers]
            if any(length > self.turns.longest(name, SCORE) for length in engine.lengths(whole)):
                return [
                    {"index": index, "failed": "question and answer are longer than the plan's prompt_tokens"}
                ]
            states = engine.embed(whole, limits.sequences)
            alike = (states @ states.T).clamp(0, 1).tolist()
            rows = []
            for place, answer in enumerate(answers):
                cut = [beside(question, text) for text in without_each_token(answer)]
                near = (engine.embed(cut, limits.sequences) @ states[place]).clamp(0, 1).tolist()
                others = {str(a.sample): round(v, 6) for a, v in zip(answers, alike[place], strict=True)}
                row = {"index": index, "sample": answer.sample, "samples": others}
                rows.append({**row, "tokens": [round(one, 6) for one in near]})
            return rows

        self.turns.work(name, name, SCORE, [1] * len(self.questions), unit, most=1)

    def _entail(self, name: str) -> None:
        self._compare(self.turns.engine(name, SCORE), name)

    def _compare(self, engine: Engine, name: str) -> None:
        """Whether each sample of a question implies each other that has other words."""
        prompts: dict[tuple[int, str, str], Chat] = {}
        for index, said in sorted(self._sampled().items()):
            for first, second in pairs(said):
                prompts[index, first, second] = entailment_prompt(self.questions[index], first, second)
        self._score(engine, ENTAILMENT, name, prompts, ENTAILS)

    def _score(
        self, engine: Engine, stage: str, name: str, prompts: Mapping[Key, Chat], choices: Sequence[str]
    ) -> None:
        def weigh(batch: Sequence[Chat]) -> list[Row]:
            found = engine.score(batch, choices)
            return [
                {"scores": list(one)} if isinstance(one, tuple) else {"failed": one.reason} for one in found
            ]

        self._each(engine, stage, name, prompts, weigh)

    def _each(
        self,
        engine: Engine,
        stage: str,
        name: str,
        prompts: Mapping[Key, Chat],
        work: Callable[[Sequence[Chat]], list[Row]],
    ) -> None:
        """`work` over prompts; each row gets its prompt and the prompt's key.

        A prompt longer than the plan's is not read: its row says so.
        """
        keys, asked = list(prompts), list(prompts.values())
        phase, about = self.session.phase(name, SCORE), self._about(keys)
        lengths = engine.lengths(asked)
        most = self.turns.longest(name, SCORE)

        def unit(batch: Sequence[int]) -> list[Row]:
            fits = [item for item in batch if lengths[item] <= most]
            with self.turns.states.listening(engine, phase, stage, [about[item] for item in fits]):
                done = work([asked[item] for item in fits]) if fits else []
            found = dict(zip(fits, done, strict=True))
            return [
                {
                    **found.get(
                        item,
                        {"failed": f"its prompt has {lengths[item]:,} tokens, the plan is for {most:,}"},
                    ),
                    "key": keys[item],
                    "prompt": asked[item],
                }
                for item in batch
            ]

        self.turns.work(stage, name, SCORE, lengths, unit)

    def _about(self, keys: Sequence[int | tuple[int, str, str]]) -> list[Asked]:
        """Whose question each key is of; keys of one question are numbered."""
        found, seen = [], Counter[int]()
        for key in keys:
            index = key if isinstance(key, int) else key[0]
            found.append(self._asked(index, seen[index]))
            seen[index] += 1
        return found

    def _answers(self, stage: str) -> dict[tuple[int, int], Answer]:
        return read_answers(self.turns.store(stage).rows())

    def _sampled(self) -> dict[int, list[str]]:
        """The texts of the samples there are, by question."""
        texts: dict[int, list[str]] = {}
        for _, answer in sorted(self._answers(SAMPLES).items()):
            if not answer.failed:
                texts.setdefault(answer.index, []).append(answer.text)
        return texts

    def _greedy(self) -> dict[int, Answer]:
        """The greedy answers there are, by question."""
        found = self._answers(GREEDY).values()
        return {answer.index: answer for answer in sorted(found, key=lambda a: a.index) if not answer.failed}
