"""The `werewolf:` part of a workload file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from ullage.phases.blocks import wrong_roles, wrong_training
from ullage.spec.mistake import Mistake
from ullage.spec.section import Section as BaseSection
from ullage.spec.workload import Workload

PLAYER: Final = "player"


class Section(BaseSection):
    """The table: how many play, for how long, how often each speaks."""

    players: Annotated[int, Field(strict=True, ge=3, le=64)] = 7
    rounds: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    turns_per_round: Annotated[int, Field(strict=True, ge=1, le=20)] = Field(
        default=2, description="what each player says in a round: discussion and vote"
    )

    def mistakes(self, workload: Workload) -> Iterator[Mistake]:
        """One role, which plays every seat."""
        yield from wrong_roles(workload, (PLAYER,), (PLAYER,))
        yield from wrong_training(workload)
