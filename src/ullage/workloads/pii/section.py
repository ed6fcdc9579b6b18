"""The `pii:` part of a workload file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from ullage.spec.mistake import Mistake
from ullage.spec.section import Section as BaseSection
from ullage.spec.workload import Workload
from ullage.workloads.stages import base_work, wrong_roles, wrong_training

VERIFIER: Final = "verifier"


class Section(BaseSection):
    """How many candidates a record has, and what is computed once for all of a type."""

    candidates_per_record: Annotated[float, Field(strict=True, gt=0, le=10_000)] = 3.0
    prefix_tokens: Annotated[int, Field(strict=True, ge=0, le=100_000)] = Field(
        default=300, description="shared instruction per type, kept in the cache"
    )
    explain_fraction: Annotated[float, Field(strict=True, ge=0, le=1)] = Field(
        default=0.0, description="share of candidates that get a generated reason"
    )

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """One role, the verifier, with words to explain in where it explains."""
        yield from wrong_roles(workload, (VERIFIER,), (VERIFIER,))
        yield from wrong_training(workload)
        known = VERIFIER in workload.roles
        if self.explain_fraction and known and not base_work(VERIFIER, workload).new_tokens:
            problem = "a reason needs words; give new_tokens, or explain nothing"
            yield Mistake(("pii", "explain_fraction"), problem)
