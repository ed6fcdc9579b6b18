"""A pool of simulated weights that a test moves by hand, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from ullage.runtime.pool import Pool, Role, Terms
from ullage.runtime.pool.simulated import Hand, Memory, SimulatedWeights
from ullage.runtime.pool.waiting import Request
from ullage.runtime.role_weights import HOST


class Bench:
    """A pool on two devices and host, by hand. `add` gives a role; sizes are small whole numbers."""

    def __init__(self, budgets: Mapping[str, int], host: int) -> None:
        self.memory = Memory({**budgets, HOST: host})
        self.clock = Hand()
        self.budgets, self.host = budgets, host
        self.weights: dict[str, SimulatedWeights] = {}
        self.roles: list[Role] = []

    def add(
        self,
        name: str,
        size: int | Mapping[str, int],
        *,
        parked: int = 0,
        passing: Mapping[str, int] | None = None,
        compressed: int = 0,
        **flags: float | bool | None,
    ) -> SimulatedWeights:
        sizes = {"a": size} if isinstance(size, int) else size
        full = SimulatedWeights(name, self.memory, sizes, passing or {}, parked)
        forms = [full]
        self.weights[name] = full
        if compressed:
            forms.append(SimulatedWeights(f"{name}-small", self.memory, {"a": compressed}))
            self.weights[f"{name}-small"] = forms[1]
        self.roles.append(Role(name, tuple(forms), **flags))  # type: ignore[arg-type]
        return full

    def open(self, **terms: object) -> Pool:
        self.pool = Pool(self.roles, self.budgets, self.host, Terms(**terms), self.clock)  # type: ignore[arg-type]
        return self.pool

    def ask(self, role: str, timeout: float | None = None) -> Request:
        """Asked for, and whatever moves for it has moved."""
        request = self.pool.ask(role, timeout)
        self.clock.settle()
        return request

    def give_back(self, *requests: Request) -> None:
        for request in requests:
            assert request.lent
            self.pool.give_back(request.resident, request.number)
        self.clock.settle()

    def refused(self, request: Request) -> BaseException:
        """Why it was not lent."""
        error = request.answer.exception(timeout=0)
        assert error is not None
        return error

    def where(self, name: str) -> str:
        return next(each.where for each in self.pool.snapshot().roles if name in (each.name, *each.aliases))

    def check(self) -> None:
        """What is really held was never beyond a budget, and is what the accounts say where nothing moves."""
        assert not self.memory.beyond
        seen = self.pool.snapshot()
        for place in seen.places:
            assert self.memory.most[place.place] <= place.most <= place.budget
        if not any(each.where == "moving" for each in seen.roles):
            assert {each.place: each.used for each in seen.places} == self.memory.held


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One device of 100 bytes, another of 100, and 100 of host; checked at the end, and closed."""
    made = Bench({"a": 100, "b": 100}, 100)
    yield made
    if hasattr(made, "pool"):
        made.check()
        for resident in made.pool._state.residents:
            resident.lent.clear()
        over = made.pool.end()
        made.clock.settle()
        assert over.done()
        assert not any(made.memory.held.values()), "something is left behind"
