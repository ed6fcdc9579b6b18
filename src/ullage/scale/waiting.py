"""What waits to be done, without holding it: partitions are looked up as they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Task:
    """What an actor is asked for: a partition, or, of `lines` of it alone, whether they end it."""

    number: int
    lines: range | None = None


@dataclass(slots=True)
class Waiting:
    """Tasks that came back, and then the partitions that are `left`.

    Invariant: only those that came back, and one that was looked for, are held."""

    left: Iterator[int]
    back: deque[Task] = field(default_factory=deque)

    def add(self, task: Task) -> None:
        """This one is next."""
        self.back.appendleft(task)

    def take(self) -> Task | None:
        """The next; None: there is none now."""
        return self.back.popleft() if self else None

    def __bool__(self) -> bool:
        if not self.back:
            number = next(self.left, None)
            if number is not None:
                self.back.append(Task(number))
        return bool(self.back)
