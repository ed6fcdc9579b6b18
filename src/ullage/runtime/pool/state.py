"""Everything that a pool knows at one moment, and what may move in it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from ullage.runtime.pool.accounts import Accounts
from ullage.runtime.pool.holding import Holding
from ullage.runtime.pool.moves import Move, Room, envelope
from ullage.runtime.pool.prediction import Predictor
from ullage.runtime.pool.role import Resident
from ullage.runtime.pool.waiting import Queue, Request


@dataclass(slots=True, eq=False)
class Job:
    """Moves that are done one after the other, the last of them for `target`. Its `bound` is taken from the
    accounts for as long as it lasts. `again`: a second try, after memory ran out. `over` ends with it."""

    target: Resident
    moves: tuple[Move, ...]
    began: float
    again: bool = False
    cancelled: bool = False
    bound: dict[str, int] = field(init=False)
    moved: tuple[Resident, ...] = ()
    over: Future[None] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.bound = envelope(self.moves)

    @property
    def brings(self) -> bool:
        """Whether its target will be ready when it is done."""
        return bool(self.moves) and self.moves[-1].action == "bring"

    def movers(self) -> tuple[Resident, ...]:
        """Everyone who comes or leaves; one of whom a form is dropped from host alone stays as it is."""
        stirs = [each for each in self.moves if each.action == "bring" or each.holding is each.resident.here]
        everyone = (self.target, *(move.resident for move in stirs))
        return tuple({id(each): each for each in everyone}.values())


@dataclass(slots=True)
class State:
    """Who is where, who waits, and what moves. Only changed by one thread at a time.

    Invariant: the accounts hold each form that is somewhere, and each job's bound for forms that move.
    """

    residents: tuple[Resident, ...]
    accounts: Accounts
    patience: float
    keeps: frozenset[str] = frozenset()
    predictor: Predictor | None = None
    queue: Queue = field(default_factory=Queue)
    jobs: list[Job] = field(default_factory=list)
    expected: dict[str, float] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    failures: int = 0
    closing: bool = False

    def begin(self, job: Job) -> Job:
        """The job's moves are under way."""
        self.accounts.exchange({move.holding.key for move in job.moves}, [(job, job.bound)])
        job.moved = job.movers()
        self._mark(job, moving=True)
        self.jobs.append(job)
        return job

    def end(self, job: Job) -> None:
        """The job is over, however it went: what it moved is where it is."""
        held = {move.holding.key: move.holding.taken(move.holding.where) for move in job.moves}
        self.accounts.exchange({job}, held.items())
        self._mark(job, moving=False)
        self.jobs.remove(job)

    def _mark(self, job: Job, moving: bool) -> None:
        for resident in job.moved:
            resident.moving = moving
        for move in job.moves:
            move.holding.moving = moving

    def overdue(self, request: Request, now: float) -> bool:
        """Whether it has waited longer than others may be served before it."""
        return now >= request.asked + self.patience

    def room(self, target: Resident | None, now: float, overdue: bool = False, lent: bool = False) -> Room:
        """What there is to make room of for `target`: those who idle, their minimum residency over.

        For one that is `overdue` those too whose minimum is not over and who are waited for; `lent`: as if
        those who are lent had been given back.
        """
        there = [each for each in self.residents if each is not target and each.ready]
        there = [each for each in there if lent or not each.lent]
        return Room(
            self.accounts.free(),
            [each for each in there if not each.stays and (overdue or self.may_leave(each, now))],
            self.parked(),
            [each for each in there if each.persistent and each.here is not each.forms[-1] and _still(each)],
            self.keeps,
            now,
        )

    def parked(self) -> list[tuple[Resident, Holding]]:
        """Forms in host memory alone that nothing moves; another form of the role may be lent."""
        still = (each for each in self.residents if not each.moving and not each.stuck)
        forms = ((each, form) for each in still for form in each.forms if not form.moving)
        return [(each, form) for each, form in forms if form.where.place == "host"]

    def may_leave(self, resident: Resident, now: float) -> bool:
        """Whether it has been there for its minimum, and nobody waits for it."""
        return now >= resident.since + resident.minimum_seconds and not self.queue.wants(resident)

    def unwanted(self) -> Sequence[Job]:
        """Loads that nobody waits for."""
        return [job for job in self.jobs if job.brings and not self.queue.wants(job.target)]


def _still(resident: Resident) -> bool:
    """Whether nothing moves any of its forms."""
    return not any(form.moving for form in resident.forms)
