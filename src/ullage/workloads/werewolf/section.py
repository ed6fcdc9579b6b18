"""The `werewolf:` part of a workload file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ullage.spec.value import Value


class Section(Value):
    """The table: how many speak, how often, and how much of the talk each remembers."""

    players: Annotated[int, Field(ge=3, le=64)] = 7
    rounds: Annotated[int, Field(ge=1, le=100)] = 3
    turns_per_round: Annotated[int, Field(ge=1, le=20)] = Field(
        2, description="what each player says in a round: discussion and vote"
    )
