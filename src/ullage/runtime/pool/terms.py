"""How a pool lends, and whom it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ullage.records.pool import PoolSeen
from ullage.runtime.pool.moving import Free
from ullage.runtime.pool.prediction import Predictor


def ran_out(error: BaseException | None) -> bool:
    """Whether memory ran out: a MemoryError, or an error that one is the cause of."""
    return error is not None and (isinstance(error, MemoryError) or ran_out(error.__cause__))


@dataclass(frozen=True, slots=True)
class Terms:
    """How a pool lends, in seconds: after `patience` nobody is served before one who waits; `longest_wait`
    for who names no timeout; `free_wait` for a driver to give memory back, where `free` asks it. `told` is
    called whenever something has begun or ended to move, or was lent, by whoever's thread that was."""

    patience: float = 30.0
    longest_wait: float = 600.0
    free_wait: float = 10.0
    free: Free | None = None
    predictor: Predictor | None = None
    ran_out: Callable[[BaseException], bool] = ran_out
    told: Callable[[PoolSeen], None] | None = None
    simulated: bool = False
