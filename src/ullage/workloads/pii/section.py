"""The `pii:` part of a workload file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ullage.spec.value import Value


class Section(Value):
    """How many candidates a record has, and what is computed once for all of a type."""

    candidates_per_record: Annotated[float, Field(gt=0, le=10_000)] = 3.0
    prefix_tokens: Annotated[int, Field(ge=0, le=100_000)] = Field(
        300, description="shared instruction per type, kept in the cache"
    )
    explain_fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="share of candidates that get a generated reason"
    )
