"""How one request is answered: its stages, one after another, as a kind lays them out."""

from __future__ import annotations

from typing import NamedTuple

from ullage.phases.phase import Phase


class Stage(NamedTuple):
    """What `role` does for a request: its `phases`, each as often as the passes of its work say; none where
    another machine does it. `away`: only where the role's weights were not there. `again` is how often more
    it may be done for one request, which no phase is laid out for."""

    name: str
    role: str
    phases: tuple[Phase, ...]
    away: bool = False
    again: int = 0


class Way(NamedTuple):
    """The stages of a request that goes this way, called after who answers it."""

    name: str
    stages: tuple[Stage, ...]
