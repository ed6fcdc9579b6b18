"""The `evaluate:` part of a workload file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ullage.spec.value import Value


class Section(Value):
    """How many answers there are and how they are judged."""

    samples: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="sampled answers beside the greedy one"
    )
    judge_by: Literal["probabilities", "text"] = Field(
        "probabilities", description="compare verdict tokens in one pass, or generate a verdict"
    )
