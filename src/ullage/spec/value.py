"""The pydantic base of every value in a workload file: frozen, and strict about unknown keys."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(strict=True, ge=1, le=10**9)]
Tokens = Annotated[int, Field(strict=True, ge=0, le=10**9)]
Switch = Annotated[bool, Field(strict=True)]
Schedule = Literal["auto", "sequential", "simultaneous", "persistent", "swapped"]


class Value(BaseModel):
    """A frozen part of a workload file; an unknown key is a mistake, never ignored.

    Validators are built when first used: only the workload's own ever is, which saves start-up time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
