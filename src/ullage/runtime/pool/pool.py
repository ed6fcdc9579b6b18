"""The pool itself: one lock around its state, and the ways in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from ullage.errors import DoesNotFitError, UnknownNameError, WaitError
from ullage.records.pool import PoolSeen, write_pool
from ullage.runtime.pool.accounts import Accounts, Sizes, exceeding, together
from ullage.runtime.pool.clock import Clock, Threads
from ullage.runtime.pool.fitting import check_fit, never_parked
from ullage.runtime.pool.holding import Place
from ullage.runtime.pool.lease import Asking
from ullage.runtime.pool.ledger import Ledger
from ullage.runtime.pool.moves import Move, moves_again, moves_to_rest
from ullage.runtime.pool.moving import carry_out
from ullage.runtime.pool.role import Resident, Role, residents_of
from ullage.runtime.pool.snapshot import seen
from ullage.runtime.pool.state import Job, State
from ullage.runtime.pool.telling import ended, not_loaded, out_of_memory, told
from ullage.runtime.pool.terms import Terms
from ullage.runtime.pool.turns import next_time, turn
from ullage.runtime.pool.waiting import Request
from ullage.runtime.pool.workers import Workers
from ullage.runtime.role_weights import HOST, Cancelled

T = TypeVar("T")
OCCUPIED: Final = "occupied"
"""Whose bytes those are that no role holds."""


class Pool:
    """Roles that share devices: lent, parked in host memory, or on disk.

    Invariants, at every instant: no budget is exceeded, the peaks of loads included; who is lent, loading or
    staying is not driven out; whoever waits is lent the role or told why not.
    """

    def __init__(
        self,
        roles: Iterable[Role],
        budgets: Sizes,
        host: int = 0,
        terms: Terms | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`budgets` and `host` in bytes. Raises DoesNotFitError where a role would never be served."""
        residents, limits = residents_of(roles), {**budgets, HOST: host}
        check_fit(residents, limits)
        self.terms = terms or Terms()
        self._clock = clock or Threads(len(residents))
        self._lock = threading.RLock()
        self._numbers = count(1)
        self._ended: Future[None] | None = None
        self._workers = Workers(tuple(budgets))
        self._by_name = {name: each for each in residents for name in each.names}
        keeps = never_parked(residents, limits)
        self._state = State(residents, Accounts(limits), self.terms.patience, keeps, self.terms.predictor)
        self._ledger = Ledger(self._lock, self._clock, self._state)

    def lease(self, role: str, timeout: float | None = None) -> Asking:
        """A loan of `role`, for `with` or `async with`; waited for at most `timeout` seconds.

        Entering raises UnknownNameError, WaitError, and what loading the role raised.
        """
        self._resident(role)
        return Asking(self, role, timeout)

    def pin(self, role: str) -> None:
        """Nobody drives it out any more; who would need its room is refused at once."""
        self._change(lambda: setattr(self._resident(role), "pinned", True))

    def unpin(self, role: str) -> None:
        """It may be driven out again, unless it is persistent."""
        self._change(lambda: setattr(self._resident(role), "pinned", False))

    def expect(self, likely: Mapping[str, float]) -> None:
        """How likely each role is next: the likeliest is loaded while nobody waits for another."""
        for role in likely:
            self._resident(role)
        self._change(lambda: setattr(self._state, "expected", dict(likely)))

    def occupy(self, sizes: Sizes) -> None:
        """From now on so many bytes by place are taken by what is no role's weights: caches, passing values.

        Raises DoesNotFitError, and leaves it as it was, where they are not free.
        """
        with self._lock:
            accounts = self._state.accounts
            over = exceeding(sizes, together(accounts.free(), accounts.of(OCCUPIED)))
            if over:
                raise DoesNotFitError(f"{told(over)} too little is free for what the roles are to do")
            accounts.exchange({OCCUPIED}, [(OCCUPIED, sizes)])
            self._turn()

    def send(self, role: str, to: Place) -> None:
        """Takes a role that is not lent to host memory, or to disk, and waits until it is there.

        Where host memory has no room for it, it goes to disk. Raises what dropping it raised.
        """
        with self._lock:
            own, now = self._resident(role), self._clock.now()
            assert not own.lent, role
            assert not own.moving, role
            if to == "host":
                moves = moves_to_rest(own, self._state.room(own, now))
            else:
                gone = [form for form in own.forms if form.where.place != "disk"]
                moves = tuple(Move(own, form, "drop") for form in gone)
            if not moves:
                return
            job = self._state.begin(Job(own, moves, now))
            self._clock.start(partial(self._carry_out, job))
            self._tell()
        self.wait(job.over)

    def wait(self, future: Future[None]) -> None:
        """Waits for what the pool is to do."""
        self._clock.wait(future)

    def snapshot(self) -> PoolSeen:
        """Who is where, who waits, and what is taken, now."""
        with self._lock:
            return seen(self._state, self._clock.now(), self.terms.simulated)

    def write(self, folder: Path) -> None:
        """Keeps a snapshot in a run's folder, for `ullage pool`."""
        write_pool(folder, self.snapshot())

    def close(self, timeout: float = 60.0) -> None:
        """Lends nothing more, stops loads, and drops everything as soon as it is given back.

        Raises WaitError where something is still lent after `timeout` seconds; it may be called again.
        """
        over = self.end()
        try:
            self._clock.wait(over, timeout)
        except TimeoutError:
            with self._lock:
                left = [each.name for each in self._state.residents if each.lent or each.moving]
            said = f"still in use {timeout:.3g} s after the pool was to close; give it back"
            raise WaitError(f"{' and '.join(left)}: {said}", left) from None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def end(self) -> Future[None]:
        """Begins to close; the future is done when nothing is anywhere."""
        with self._lock:
            if self._ended is None:
                self._ended = Future()
            self._change(lambda: setattr(self._state, "closing", True))
            return self._ended

    def ask(self, role: str, timeout: float | None = None) -> Request:
        """Waits in the queue; the request's future ends when it is lent. For leases."""
        longest = self.terms.longest_wait if timeout is None else timeout
        with self._lock:
            now = self._clock.now()
            request = Request(next(self._numbers), role, self._resident(role), now, now + longest)
            if self._state.closing:
                request.refuse(ended(request))
                return request
            self._state.queue.add(request)
            self._turn()
            return request

    def withdraw(self, request: Request) -> None:
        """Nobody waits for it any more; if it was just lent, it is given back."""
        with self._lock:
            self._state.queue.remove(request)
            if request.lent:
                self.give_back(request.resident, request.number)
            else:
                self._turn()

    def give_back(self, resident: Resident, number: int) -> None:
        """A loan has ended."""
        with self._lock:
            if resident.lent.pop(number, None) is not None:
                resident.used = self._clock.now()
            self._turn()

    def run_on(self, resident: Resident, work: Callable[[object], T]) -> Future[T]:
        """Runs `work` of a model that is lent, in the thread of its device, as a loan of its own."""
        with self._lock:
            assert resident.lent, resident.name
            assert resident.here is not None
            number = next(self._numbers)
            resident.lent[number] = self._clock.now()
            devices = [place for place in resident.here.sizes if place != HOST]
            model = resident.model
        try:
            future = self._workers.submit(devices, partial(work, model))
        except BaseException:
            self.give_back(resident, number)
            raise
        future.add_done_callback(lambda _: self.give_back(resident, number))
        return future

    def working(self, role: str) -> AbstractContextManager[None]:
        """Inside, nothing else runs on the devices of `role`, which is lent, but what this thread does."""
        with self._lock:
            here = self._resident(role).here
        assert here is not None, role
        return self._workers.working([place for place in here.sizes if place != HOST])

    def _resident(self, role: str) -> Resident:
        if role not in self._by_name:
            raise UnknownNameError("role", role, self._by_name)
        return self._by_name[role]

    def _change(self, change: Callable[[], None]) -> None:
        with self._lock:
            change()
            self._turn()

    def _turn(self) -> None:
        """Does what is to be done now, and has itself woken when there is more. With the lock held."""
        with self._lock:
            now = self._clock.now()
            for job in turn(self._state, now):
                self._clock.start(partial(self._carry_out, job))
            when = next_time(self._state, now)
            if when is not None:
                self._clock.wake(when, self._turn)
            if self._ended is not None and not self._ended.done() and self._is_over():
                self._workers.close()
                self._clock.close()
                self._ended.set_result(None)
            self._tell()

    def _tell(self) -> None:
        if self.terms.told is not None:
            self.terms.told(self.snapshot())

    def _is_over(self) -> bool:
        forms = (form for each in self._state.residents for form in each.forms)
        lent = any(each.lent for each in self._state.residents)
        return not self._state.jobs and not lent and all(form.where.place == "disk" for form in forms)

    def _carry_out(self, job: Job) -> None:
        error: BaseException | None = None
        try:
            carry_out(job, self._clock, self._ledger, self.terms.free, self.terms.free_wait)
        except BaseException as failed:  # a thread's end is no place for it: those who wait are told
            error = failed
        with self._lock:
            self._state.end(job)
            if error is not None and not isinstance(error, Cancelled):
                self._failed(job, error)
            self._turn()
        if error is None:
            job.over.set_result(None)
        else:
            job.over.set_exception(error)

    def _failed(self, job: Job, error: BaseException) -> None:
        state, own = self._state, job.target
        state.failures += 1
        state.expected.pop(own.name, None)
        if not job.brings or state.closing:
            return
        if self.terms.ran_out(error) and not job.again and state.queue.wants(own):
            now = self._clock.now()
            moves = moves_again(own, job.moves[-1].holding, state.room(own, now, overdue=True))
            if moves is not None:
                second = state.begin(Job(own, moves, now, again=True))
                self._clock.start(partial(self._carry_out, second))
                return
        said = out_of_memory(own, error) if self.terms.ran_out(error) else not_loaded(own, error)
        said.__cause__ = error if said is not error else None
        for request in state.queue:
            if request.resident is own:
                state.queue.remove(request)
                request.refuse(said)
