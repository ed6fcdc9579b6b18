"""The pydantic base of every value in a workload file: frozen, and strict about unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen part of a workload file; an unknown key is a mistake, never ignored.

    Validators are built when first used: a part that only stands inside another never needs its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False, defer_build=True)
