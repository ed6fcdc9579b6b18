"""Who waits for a role, in the order they asked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

from ullage.runtime.pool.role import Resident


@dataclass(slots=True, eq=False)
class Request:
    """One who asks for a role; its future ends when the role is lent, or with the reason why it is not."""

    number: int
    role: str
    resident: Resident
    asked: float
    deadline: float
    answer: Future[None] = field(default_factory=Future)
    lent: bool = False

    def refuse(self, error: BaseException) -> None:
        """Ends the wait with an error."""
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_exception(error)

    def grant(self) -> None:
        """Ends the wait well."""
        self.lent = True
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_result(None)


class Queue:
    """Requests, first come first. Invariant: whoever is in it has had no answer yet."""

    def __init__(self) -> None:
        self._waiting: dict[int, Request] = {}

    def __iter__(self) -> Iterator[Request]:
        return iter(tuple(self._waiting.values()))

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, request: Request) -> None:
        self._waiting[request.number] = request

    def remove(self, request: Request) -> bool:
        """Whether it was there."""
        return self._waiting.pop(request.number, None) is not None

    def wants(self, resident: Resident) -> bool:
        """Whether anybody waits for it."""
        return any(request.resident is resident for request in self._waiting.values())
