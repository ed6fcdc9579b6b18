"""The `extract:` part of a workload file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ullage.spec.value import Value


class Section(Value):
    """What to run over the texts besides the captures."""

    logits: Literal["none", "last", "all"] = "none"
    generate: bool = Field(False, description="also capture while new_tokens are generated")
