"""The `evaluate:` part of a workload file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from ullage.spec.mistake import Mistake
from ullage.spec.section import Section as BaseSection
from ullage.spec.workload import Workload
from ullage.workloads.stages import wrong_roles, wrong_training

ROLES: Final = ("generator", "judge", "similarity", "entailment")
"""All but the first are optional; the last two are small models for relevance and for clusters of
like meaning."""


class Section(BaseSection):
    """How many answers there are and how they are judged."""

    samples: Annotated[int, Field(strict=True, ge=0, le=1000)] = Field(
        default=0, description="sampled answers beside the greedy one"
    )
    judge_by: Literal["probabilities", "text"] = Field(
        default="probabilities",
        description="compare verdict tokens in one pass, or generate a verdict",
    )

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """A generator, and none but the roles known here."""
        yield from wrong_roles(workload, ("generator",), ROLES)
        yield from wrong_training(workload)
