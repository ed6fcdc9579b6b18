"""Moves that are carried out, in a thread of their own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeAlias

from ullage.runtime.pool.accounts import exceeding, without
from ullage.runtime.pool.clock import Clock
from ullage.runtime.pool.ledger import Ledger
from ullage.runtime.pool.moves import Move
from ullage.runtime.pool.state import Job
from ullage.runtime.pool.telling import told
from ullage.runtime.role_weights import HOST, Cancelled

Free: TypeAlias = Callable[[str], int]
"""Bytes of a device that its driver says are free now, whoever has the rest."""
POLL: Final = 0.02
"""Seconds between two looks at what is free."""


class NotFreeError(MemoryError):
    """By the pool's accounts there is room, by the device's driver there is not."""


def carry_out(job: Job, clock: Clock, ledger: Ledger, free: Free | None, patience: float) -> None:
    """Does a job's moves. Raises what the last of them raises, Cancelled, and NotFreeError.

    Whatever is raised, nothing is half moved: a load that failed has been dropped.
    """
    for move in job.moves:
        if job.cancelled and job.brings:
            raise Cancelled
        if move.action == "bring":
            if free is not None:
                _await_free(move, job, clock, free, patience)
            _bring(move, job, clock, ledger)
        else:
            _rest(move, ledger)


def _bring(move: Move, job: Job, clock: Clock, ledger: Ledger) -> None:
    source, begun = move.holding.where.place, clock.now()
    try:
        model = move.holding.weights.bring(lambda: job.cancelled)
    except BaseException:
        if source == "disk":
            with suppress(Exception):
                move.holding.weights.drop()
        raise
    ledger.came(move, model, source, clock.now() - begun)


def _rest(move: Move, ledger: Ledger) -> None:
    """Parks or drops; what cannot be parked is dropped."""
    ledger.leaving(move)
    if move.action == "park":
        try:
            move.holding.weights.park()
        except Exception:
            move = replace(move, action="drop")
    if move.action == "drop":
        try:
            move.holding.weights.drop()
        except Exception as error:
            ledger.stuck(move, error)
            raise
    ledger.left(move)


def _await_free(move: Move, job: Job, clock: Clock, free: Free, patience: float) -> None:
    """Waits until the driver has given back what has left, at most `patience` seconds."""
    holding = move.holding
    need = without(holding.during(holding.where, "bring"), holding.taken(holding.where))
    need = {place: size for place, size in need.items() if size > 0 and place != HOST}
    begun = clock.now()
    while True:
        has = {place: free(place) for place in need}
        lacking = exceeding(need, has)
        if not lacking:
            return
        if job.cancelled and job.brings:
            raise Cancelled
        if clock.now() - begun >= patience:
            raise NotFreeError(
                f"{told(need)} needed, but after {patience:.3g} s the driver has {told(lacking)} too little: "
                "another process may hold it"
            )
        clock.sleep(POLL)
