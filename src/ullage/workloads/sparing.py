"""Traces of a search: no more than it may take time for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import UnsupportedError

if TYPE_CHECKING:
    from ullage.memory.traced import Asked, Traced
    from ullage.spec.role import Role


class SparingTracer:
    """Traces at most so many passes beside those that the workload as it is takes, which `as_it_is` asks for.

    What was kept of old counts as what is traced now, so that a search finds the same on every machine.
    Invariant: what was traced once is given again; `refused` is what was refused since it was `heard`.
    """

    def __init__(self, most: float, base: Path | None) -> None:
        self._left, self._base = most, base
        self._given: set[Asked] = set()
        self._refused: list[Asked] = []
        self._learned = self._learning = False
        self.as_it_is: Callable[[], object] = lambda: None

    def trace(self, asked: Asked) -> Traced:
        """Raises as `trace_model`, and UnsupportedError for one too many."""
        from ullage.workloads.traced import trace_model

        if not self._learned:
            self._learn()
        if asked not in self._given and not self._learning:
            if self._left < 1:
                self._refused.append(asked)
                raise UnsupportedError(f"{asked.model}: one trace more than a search takes time for")
            self._left -= 1
        self._given.add(asked)
        return trace_model(asked, self._base)

    def _learn(self) -> None:
        """The passes of the workload as it is, which a plan of it has traced."""
        self._learned = self._learning = True
        try:
            self.as_it_is()
        finally:
            self._learning = False

    def heard(self, roles: Mapping[str, Role]) -> tuple[str, ...]:
        """The roles whose passes were refused since this was asked last."""
        models = {asked.model for asked in self._refused}
        self._refused.clear()
        return tuple(name for name, role in roles.items() if role.model in models)
