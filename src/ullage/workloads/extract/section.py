"""The `extract:` part of a workload file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ullage.spec.mistake import Mistake
from ullage.spec.section import Section as BaseSection
from ullage.spec.value import Switch
from ullage.spec.workload import Workload


class Section(BaseSection):
    """What to run over the texts besides the captures."""

    logits: Literal["none", "last", "all"] = Field(
        default="none", description="logits that are kept; generating keeps the last at least"
    )
    generate: Switch = Field(default=False, description="also capture while new_tokens are generated")

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """One role, held here."""
        if len(workload.roles) > 1:
            problem = f"kind extract takes one role, not {len(workload.roles)}"
            yield Mistake(("roles",), problem, at_key=True)
        for name, role in workload.roles.items():
            if role.engine != "transformers":
                problem = "kind extract reads states, which only engine transformers gives"
                yield Mistake(("roles", name, "engine"), problem)
        if self.generate and workload.training is not None:
            problem = "a backward pass generates nothing; remove training or generate"
            yield Mistake(("extract", "generate"), problem)
