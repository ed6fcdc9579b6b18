"""What is noted of each move as it is done."""

from __future__ import annotations

from threading import RLock
from typing import NamedTuple

from ullage.runtime.pool.clock import Clock
from ullage.runtime.pool.holding import Place, Where
from ullage.runtime.pool.moves import Move
from ullage.runtime.pool.state import State


class Ledger(NamedTuple):
    """Each call is one instant for everybody who looks at the pool's state under its lock."""

    lock: RLock
    clock: Clock
    state: State

    def leaving(self, move: Move) -> None:
        """Its model is about to go: nobody has it any more."""
        with self.lock:
            if move.holding is move.resident.here:
                move.resident.model = None

    def stuck(self, move: Move, error: Exception) -> None:
        """It could not even be dropped: its bytes stay taken, and it is not lent."""
        with self.lock:
            move.resident.stuck = f"{type(error).__name__}: {error}"
            if self.state.closing:  # the process ends: there is nobody left to keep the room from
                move.holding.where = Where()

    def left(self, move: Move) -> None:
        """It is on no device any more."""
        with self.lock:
            if move.holding is move.resident.here:
                move.resident.since = self.clock.now()
            move.holding.where = move.holding.where.after(move.action)

    def came(self, move: Move, model: object, source: Place, seconds: float) -> None:
        """It is ready."""
        with self.lock:
            move.holding.where = move.holding.where.after("bring")
            move.holding.loaded(source, seconds)
            move.resident.model, move.resident.since = model, self.clock.now()
