"""A role that is lent: its model, for as long as the loan lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from ullage.errors import InputError
from ullage.runtime.pool.waiting import Request

if TYPE_CHECKING:
    from ullage.runtime.pool.pool import Pool

T = TypeVar("T")


class Lease:
    """A loan. Until it ends, and what it runs has ended, nobody takes the model away."""

    def __init__(self, pool: Pool, request: Request) -> None:
        self._pool, self._request, self._ended = pool, request, False
        self.role = request.role

    @property
    def model(self) -> object:
        """The model, ready. Keep no hold of it beyond the loan."""
        self._check()
        return self._request.resident.model

    @property
    def form(self) -> str:
        """`full` or `compressed`."""
        self._check()
        here = self._request.resident.here
        assert here is not None
        return here.form

    def submit(self, work: Callable[[object], T]) -> Future[T]:
        """`work` of the model, in the thread of its device; the loan lasts until that has ended."""
        self._check()
        return self._pool.run_on(self._request.resident, work)

    def run(self, work: Callable[[object], T]) -> T:
        """`work` of the model, in the thread of its device."""
        return self.submit(work).result()

    def end(self) -> None:
        """Gives it back; a second time does nothing."""
        if not self._ended:
            self._ended = True
            self._pool.give_back(self._request.resident, self._request.number)

    def _check(self) -> None:
        if self._ended:
            raise InputError(f"role {self.role}: was given back; ask for it anew")


class AsyncLease(Lease):
    """A loan to a task: what runs is awaited."""

    async def run(self, work: Callable[[object], T]) -> T:  # type: ignore[override]
        """`work` of the model, in the thread of its device; it is not stopped where the task is."""
        return await asyncio.wrap_future(self.submit(work))


class Asking:
    """What `with`, or `async with`, waits for: a role, for one loan."""

    def __init__(self, pool: Pool, role: str, timeout: float | None) -> None:
        self._pool, self._role, self._timeout = pool, role, timeout
        self._lease: Lease | None = None

    def __enter__(self) -> Lease:
        request = self._pool.ask(self._role, self._timeout)
        try:
            self._pool.wait(request.answer)
        except BaseException:
            self._pool.withdraw(request)
            raise
        self._lease = Lease(self._pool, request)
        return self._lease

    def __exit__(self, *error: object) -> None:
        assert self._lease is not None
        self._lease.end()

    async def __aenter__(self) -> AsyncLease:
        request = self._pool.ask(self._role, self._timeout)
        try:
            await asyncio.wrap_future(request.answer)
        except BaseException:
            self._pool.withdraw(request)
            raise
        lease = AsyncLease(self._pool, request)
        self._lease = lease
        return lease

    async def __aexit__(self, *error: object) -> None:
        assert self._lease is not None
        self._lease.end()
