"""The `pii:` part of a workload file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from ullage.kinds.pii.pipes import read_once
from ullage.phases.blocks import base_work, wrong_captures, wrong_engine, wrong_roles, wrong_training
from ullage.spec.mistake import Mistake
from ullage.spec.section import Section as BaseSection
from ullage.spec.value import Switch, Value
from ullage.spec.workload import Workload

VERIFIER: Final = "verifier"
Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class RecordFields(Value):
    """Where a record holds what; None: any of the names that known tools use."""

    id: str | None = None
    text: str | None = None
    candidates: str | None = None
    type: str | None = None
    value: str | None = None
    start: str | None = None
    end: str | None = None
    length: str | None = Field(default=None, description="of a candidate that has a start and no end")
    gold: str | None = Field(default=None, description="true or false of a candidate that was labelled")
    ignored: tuple[str, ...] = Field(default=(), description="fields that hold no candidates")


class Section(BaseSection):
    """What is verified and how, what comes out, and what is computed once for all candidates of a type."""

    has_several: ClassVar[bool] = True

    input: str | None = Field(
        default=None, description="JSON lines or arrays, CSV, Parquet, packed or not; '-': standard input"
    )
    fields: RecordFields = RecordFields()
    offsets: Literal["auto", "characters", "utf16", "utf8"] = Field(
        default="characters",
        description="what start and end count; auto: what all of the stated values agree with",
    )
    detect: Literal["none", "missing", "all"] = Field(
        default="none", description="find candidates with presidio's patterns: of records without, or of all"
    )
    least_score: Share = Field(
        default=0.3, description="detect: finds that presidio scores lower are left out"
    )
    languages: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=("en",), description="detect: languages whose own patterns are looked for, as en, de, es"
    )
    types: str | None = Field(default=None, description="a file of types; None: Ullage's own")
    only_types: tuple[str, ...] = Field(
        default=(), description="verify these types, categories or sensitivities alone"
    )
    system: str | None = Field(
        default=None,
        description="instruction with {types}, or of one with {type}, {is}, {only_if}, {unless}; None: own",
    )
    template: str | None = Field(
        default=None,
        description="question with {text}, {span}, {type}; without {span} the text has it marked; None: own",
    )
    verdicts: tuple[str, str] = ("yes", "no")
    threshold: Share | None = Field(
        default=None, description="probability of a yes; None: the calibration's, 0.5 without one"
    )
    calibration: str | None = Field(default=None, description="a file that `ullage pii calibrate` wrote")
    redact: Literal["none", "mask", "tag", "hash"] = Field(
        default="none", description="also write the text with what was verified taken out"
    )
    everywhere: Switch = Field(
        default=False, description="redact: take out every place where a verified or failed value stands"
    )
    key_env: str = Field(default="ULLAGE_HASH_KEY", description="the environment variable with the hash key")
    explain: Literal["none", "uncertain", "verified", "rejected", "all"] = Field(
        default="none", description="candidates that get a reason in words"
    )
    strict: Switch = Field(default=False, description="stop at the first line that cannot be read")
    longest_line: str = Field(default="8MiB", description="lines longer than this are rejected")
    candidates_per_record: Annotated[float, Field(strict=True, gt=0, le=10_000)] = 3.0
    prefix_tokens: Annotated[int, Field(strict=True, ge=0, le=100_000)] = Field(
        default=600,
        description="shared instruction, kept in the cache; it defines as many types as fit",
    )
    branch_tokens: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(
        default=32, description="planned for what follows the text for each candidate: its span and its type"
    )
    least_mass: Share = Field(
        default=0.01,
        description="probability of both verdicts, in all their forms, below which a candidate is failed",
    )
    max_failed: Share = Field(
        default=0.1, description="the share of candidates that may fail; more is exit code 1"
    )
    explain_fraction: Annotated[float, Field(strict=True, gt=0, le=1)] | None = Field(
        default=None, description="share of candidates that the plan expects to explain; None: all, if any"
    )
    locate: Switch = Field(
        default=False, description="the model copies out the spans of candidates that are a bare type"
    )

    @property
    def explained(self) -> float:
        """The share of candidates that get a reason."""
        if self.explain == "none":
            return 0.0
        return 1.0 if self.explain_fraction is None else self.explain_fraction

    def files(self) -> tuple[str, ...]:
        """The input, and the files that say how it is verified."""
        named = (self.input, self.types, self.calibration)
        return tuple(name for name in named if name is not None and not read_once(name))

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """One role, the verifier, with words to explain in where it explains."""
        yield from wrong_roles(workload, (VERIFIER,), (VERIFIER,))
        yield from wrong_training(workload)
        yield from wrong_captures(workload, {})
        yield from wrong_engine(VERIFIER, workload, "weighs")
        if self.locate or self.explained:
            yield from wrong_engine(VERIFIER, workload, "writes")
        yield from self._wrong_prompts()
        known = VERIFIER in workload.roles
        if len(set(self.verdicts)) < 2:
            yield Mistake(("pii", "verdicts"), "are the same word")
        if self.explain_fraction and self.explain == "none":
            yield Mistake(("pii", "explain_fraction"), "nothing is explained; say which in explain")
        if known and not base_work(VERIFIER, workload).new_tokens:
            for name, writes in (("explain", self.explain != "none"), ("locate", self.locate)):
                if writes:
                    yield Mistake(("pii", name), "the model writes; give new_tokens")

    def _wrong_prompts(self) -> Iterator[Mistake]:
        several, one = ("{types}" in (self.system or ""), "{type}" in (self.system or ""))
        if self.system is not None and not several and not one:
            yield Mistake(("pii", "system"), "lacks {types} (or {type}, for one type at a time)")
        if self.template is None:
            return
        if "{text}" not in self.template:
            yield Mistake(("pii", "template"), "lacks {text}")
        if several and not {"{span}", "{type}"} <= set(re.findall(r"\{\w+\}", self.template)):
            yield Mistake(("pii", "template"), "lacks {span} or {type}, which a system with {types} needs")
        if self.system is not None and not several and "{span}" in self.template:
            yield Mistake(("pii", "template"), "has {span}, which needs a system with {types}")
