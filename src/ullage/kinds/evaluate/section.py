"""The `evaluate:` part of a workload file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import ceil
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from ullage.errors import nearest
from ullage.kinds.evaluate.labels import are_of_inference
from ullage.phases.blocks import (
    base_work,
    is_local,
    wrong_captures,
    wrong_engine,
    wrong_roles,
    wrong_training,
)
from ullage.phases.residency import Residency, residency_of
from ullage.spec.mistake import Mistake
from ullage.spec.precision import Precision
from ullage.spec.section import Section as BaseSection
from ullage.spec.value import Count, Switch, Value
from ullage.spec.workload import Workload
from ullage.workloads.judgement import LEAST_MASS, Rule, wrong_pattern

GENERATOR: Final = "generator"
SIMILARITY: Final = "similarity"
ENTAILMENT: Final = "entailment"
JUDGE: Final = "judge"
EMBEDS: Final = "compares whole texts and keeps no states; capture the generator, a judge or entailment"
ROLES: Final = (GENERATOR, JUDGE, SIMILARITY, ENTAILMENT)
"""All but the first are optional. Further judges are called `judge_` and a name; the last two are small
models for relevance and for clusters of like meaning."""

QUANTIZED: Final[tuple[Precision, ...]] = ("int8", "nf4")
"""What `quantize: auto` tries, the one that changes results less first."""
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "template": ("question", "context"),
    "judge_template": ("question", "answer", "references", "context"),
    "judge_system": ("verdicts",),
}
"""What is filled in where."""
Metric = Literal["exact_match", "contains", "f1", "rouge_l"]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class QuestionFields(Value):
    """Where a record holds what: dotted paths, as `answer.aliases`."""

    question: str = "question"
    references: str | None = Field(
        default="references", description="one text or a list; none: unanswerable. null: no record has any"
    )
    context: str | None = Field(default=None, description="null, and unsaid: questions have none")
    id: str = "id"


class Section(BaseSection):
    """What is asked and how, how many answers there are, and how they are judged."""

    has_several: ClassVar[bool] = True

    input: str | tuple[str, ...] | None = Field(
        default=None, description="one or several: JSON lines, .parquet, .csv, a folder that `datasets` saved"
    )
    format: Literal["fields", "triviaqa", "squad_v2", "natural_questions", "bioasq", "svamp", "coqa"] = Field(
        default="fields", description="a published data set's, or as `fields` says"
    )
    fields: QuestionFields = QuestionFields()
    limit: Count | None = Field(default=None, description="the first so many questions")
    style: Literal["short", "long"] = "short"
    chat: Switch = Field(
        default=True, description="by the chat template; else plain text that ends in Answer:"
    )
    instruction: str | None = Field(default=None, description="None: the style's own")
    template: str = Field(default="{context}\n{question}", description="of one question")
    unknown: tuple[str, ...] = Field(
        default=("unknown",), description="answers that say a question has no answer; so does an empty one"
    )
    shots: Annotated[int, Field(strict=True, ge=0, le=100)] = Field(
        default=0, description="worked examples in every prompt, taken from the first questions"
    )
    stop: tuple[str, ...] | None = Field(default=None, description="stop sequences; None: the style's own")
    samples: Annotated[int, Field(strict=True, ge=0, le=1000)] = Field(
        default=0, description="sampled answers beside the greedy one"
    )
    temperature: Annotated[float, Field(strict=True, gt=0, le=10)] = Field(
        default=1.0, description="of samples"
    )
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] = Field(default=1.0, description="of samples")
    seed: Annotated[int, Field(strict=True, ge=0, le=2**31)] = 0
    metrics: tuple[Metric, ...] = ("exact_match", "f1", "rouge_l")
    right_from: Share = Field(default=0.5, description="f1 and rouge_l of an answer that counts as right")
    judge_by: Literal["probabilities", "text"] = Field(
        default="probabilities",
        description="compare verdict tokens in one pass, or generate a verdict",
    )
    verdicts: tuple[str, str] = Field(
        default=("yes", "no"), description="the positive word, the negative one"
    )
    least_mass: Share = Field(
        default=LEAST_MASS,
        description="probability of both verdicts, in all their forms, below which an answer is unscored",
    )
    judge_pattern: str | None = Field(
        default=None,
        description="of a written verdict: a regular expression with groups `right` and `wrong`",
    )
    judge_check: Annotated[int, Field(strict=True, ge=0, le=10_000)] = Field(
        default=40,
        description="questions on which each judge is judged first, by a reference and by another question's",
    )
    judge_system: str | None = Field(default=None, description="may hold {verdicts}; None: Ullage's own")
    judge_template: str | None = Field(
        default=None, description="holds {question}, {answer}, {references}, {context}; None: Ullage's own"
    )
    judge_unanswerable: str | None = Field(
        default=None, description="the reference of a question without one; None: Ullage's own words"
    )
    quantize: Literal["none", "auto"] = Field(
        default="none",
        description="auto: a local judge that does not fit is planned in int8, else in nf4, unless it has "
        "fallback_precisions",
    )
    clusters_by: Literal["words", "entailment", "judge"] = Field(
        default="words", description="what tells which samples mean the same"
    )
    max_failed: Share = Field(
        default=0.1, description="the share of answers, or of verdicts, that may fail; more is exit code 1"
    )
    p_true: Switch = Field(default=False, description="ask the generator whether its own answer is true")

    def files(self) -> tuple[str, ...]:
        """The input."""
        if self.input is None:
            return ()
        return (self.input,) if isinstance(self.input, str) else self.input

    def heard(self, workload: Workload) -> tuple[str, ...]:
        """Whoever answers."""
        return (GENERATOR,)

    def encoders(self, workload: Workload) -> dict[str, tuple[str, ...]]:
        """Those that compare answers; a model of inference reads two of them."""
        return {SIMILARITY: ("states", "labels"), ENTAILMENT: ("labels",)}

    def fallbacks(self, workload: Workload) -> dict[str, tuple[Precision, ...]]:
        """Those of judges, where `quantize` is auto."""
        named = judges(workload) if self.quantize == "auto" else ()
        return {name: QUANTIZED for name in named if workload.roles[name].runs_with.memory == "process"}

    def notes(self, workload: Workload) -> Iterator[str]:
        """What schedule `auto` comes to, and that models are loaded in each partition."""
        if workload.schedule == "auto":
            yield "schedule auto: planned as sequential, one model in memory at a time"
        if workload.partition is not None and not residency(workload).stay:
            count = ceil(workload.examples / workload.partition.settled(stay=False).most)
            yield f"each of {count:,} partitions loads its models anew, which is in the times"

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """A generator, and none but the roles known here; settings that have no use."""
        known = (*ROLES, *judges(workload))
        yield from wrong_roles(workload, (GENERATOR,), known)
        yield from wrong_training(workload)
        yield from wrong_captures(workload, {SIMILARITY: EMBEDS})
        yield from self._unable(workload)
        yield from _wrong_labels(workload)
        if "{question}" not in self.template:
            yield Mistake(("evaluate", "template"), "lacks {question}")
        said = "template" in self.model_fields_set and "{context}" in self.template
        if said and self.format == "fields" and "context" not in self.fields.model_fields_set:
            problem = "holds {context}; say in evaluate.fields.context where a record has that, or null"
            yield Mistake(("evaluate", "template"), problem)
        if self.judge_template is not None and "{answer}" not in self.judge_template:
            yield Mistake(("evaluate", "judge_template"), "lacks {answer}")
        yield from self._misspelt()
        yield from self._wrong_judging()
        if self.clusters_by != "words" and self.clusters_by not in workload.roles:
            yield Mistake(("evaluate", "clusters_by"), f"there is no role called {self.clusters_by}")
        if ENTAILMENT in workload.roles and not (self.samples and self.clusters_by == ENTAILMENT):
            problem = "compares samples; give evaluate.samples and clusters_by: entailment"
            yield Mistake(("roles", ENTAILMENT), problem, at_key=True)
        if self.judge_by == "text":
            for name in judges(workload):
                if is_local(workload.roles[name]) and not base_work(name, workload).new_tokens:
                    yield Mistake(("roles", name), "writes its verdict; give new_tokens", at_key=True)

    def _misspelt(self) -> Iterator[Mistake]:
        """Places of templates that would stand there as they are, and are nearly those that are filled."""
        for name, known in PLACES.items():
            for place in re.findall(r"{(\w+)}", getattr(self, name) or ""):
                meant = () if place in known else nearest(place, known)
                if meant:
                    problem = f"holds {{{place}}}, which is not filled; nearest: {{{meant[0]}}}"
                    yield Mistake(("evaluate", name), problem)

    @property
    def rule(self) -> Rule:
        """How a judge's replies become verdicts."""
        return Rule(self.verdicts, self.least_mass, self.judge_pattern)

    def _wrong_judging(self) -> Iterator[Mistake]:
        """Verdicts that cannot be told apart, and a pattern that finds none."""
        one, other = sorted((each.strip().casefold() for each in self.verdicts), key=len)
        if one == other:
            yield Mistake(("evaluate", "verdicts"), "are twice the same word")
        elif self.judge_by == "probabilities" and other.startswith(one):
            problem = "one begins with the other, so that its probability is that of both; use other words"
            yield Mistake(("evaluate", "verdicts"), problem)
        if self.judge_pattern is None:
            return
        at = ("evaluate", "judge_pattern")
        if problem := wrong_pattern(self.judge_pattern):
            yield Mistake(at, problem)
        if self.judge_by != "text":
            yield Mistake(at, "is looked for in what a judge writes; give judge_by: text")
        elif self.judge_system is None and self.judge_template is None:
            yield Mistake(at, "Ullage's own words ask for a verdict; say in judge_system what to write")

    def _unable(self, workload: Workload) -> Iterator[Mistake]:
        """Roles whose engine cannot do what they are for."""
        yield from wrong_engine(GENERATOR, workload, "writes")
        yield from wrong_engine(SIMILARITY, workload, "states")
        for name in judges(workload):
            yield from wrong_engine(name, workload, "writes" if self.judge_by == "text" else "weighs")
        for name in (ENTAILMENT, self.clusters_by, *((GENERATOR,) if self.p_true else ())):
            yield from wrong_engine(name, workload, "weighs")


def _wrong_labels(workload: Workload) -> Iterator[Mistake]:
    """Encoders whose labels are not those of what they are for."""
    for name, role in workload.roles.items():
        if not role.labels:
            continue
        has = f"{role.model} scores {', '.join(role.labels)}"
        problem = ""
        if name == SIMILARITY and len(role.labels) > 1:
            problem = f"{has}; how alike two texts are is one score, as a cross-encoder's"
        elif name == ENTAILMENT and not are_of_inference(role.labels):
            problem = f"{has}; to infer it needs entailment, neutral and contradiction by name, in id2label"
        elif name not in (SIMILARITY, ENTAILMENT):
            problem = f"{has}, and writes and weighs nothing; name a decoder"
        if problem:
            yield Mistake(("roles", name), problem, at_key=True)


def residency(workload: Workload) -> Residency:
    """Where each local role is while others have their turns, in the order of these."""
    return residency_of(workload, (GENERATOR, *judges(workload), SIMILARITY, ENTAILMENT), "freed")


def judges(workload: Workload) -> tuple[str, ...]:
    """Names of the roles that judge, in the file's order."""
    return tuple(name for name in workload.roles if name == JUDGE or name.startswith(f"{JUDGE}_"))
