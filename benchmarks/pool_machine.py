"""Random operations on a residency pool that is moved by hand, and the laws that hold after each of them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ullage.errors import DoesNotFitError
from ullage.runtime.pool import Pool, Role, Terms
from ullage.runtime.pool.simulated import Hand, Memory, SimulatedWeights
from ullage.runtime.pool.waiting import Request
from ullage.runtime.role_weights import HOST

PATIENCE, MINIMUM, FOREVER = 20.0, 5.0, 1e9
BUDGETS = {"a": 100, "b": 60}
HOST_BYTES = 80
ERRORS: tuple[Callable[[], BaseException], ...] = (
    lambda: MemoryError("none left"),
    lambda: RuntimeError("broken file"),
    lambda: KeyboardInterrupt(),
)
sizes = st.sampled_from([{"a": 30}, {"a": 60}, {"b": 40}, {"a": 20, "b": 20}, {"a": 90}])
which = st.integers(0, 30)


class PoolMachine(RuleBasedStateMachine):
    """Asks, gives back, withdraws, fails, pins, expects, and lets time pass, in between loads and within.

    `operations` counts those that all machines have done.
    """

    operations = 0

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.clock = Memory({**BUDGETS, HOST: HOST_BYTES}), Hand()
        self.weights: list[SimulatedWeights] = []
        self.requests: list[Request] = []
        self.within: list[Callable[[], object]] = []
        self.pool: Pool | None = None
        self.exclusive = False
        self.broken: list[str] = []

    @initialize(data=st.data(), exclusive=st.booleans())
    def open(self, data: st.DataObject, exclusive: bool) -> None:
        """Three to five roles of all sorts; `exclusive` ones all need one device for themselves."""
        self.exclusive = exclusive
        count = data.draw(st.integers(3, 5))
        roles = [self._exclusive(index) if exclusive else self._role(index, data) for index in range(count)]
        terms = Terms(patience=PATIENCE, longest_wait=FOREVER)
        try:
            self.pool = Pool(roles, BUDGETS, HOST_BYTES, terms, self.clock)
        except DoesNotFitError:
            self.pool = Pool(
                [Role(role.name, role.forms) for role in roles], BUDGETS, HOST_BYTES, terms, self.clock
            )
        self.names = [role.name for role in roles]

    def _weights(self, name: str, size: dict[str, int], parked: int, passing: int) -> SimulatedWeights:
        made = SimulatedWeights(name, self.memory, size, {next(iter(size)): passing, HOST: passing}, parked)
        made.on_part = self._meanwhile
        self.weights.append(made)
        return made

    def _exclusive(self, index: int) -> Role:
        weights = self._weights(f"r{index}", {"a": 60 + index}, 30, 5)
        return Role(f"r{index}", (weights,), minimum_seconds=MINIMUM * (index % 2))

    def _role(self, index: int, data: st.DataObject) -> Role:
        size, name = data.draw(sizes), f"r{index}"
        parked = data.draw(st.sampled_from([0, sum(size.values())])) if sum(size.values()) <= 60 else 0
        forms = [self._weights(name, size, parked, data.draw(st.sampled_from([0, 5, 10])))]
        if data.draw(st.booleans()):
            less = {place: held // 2 for place, held in size.items()}
            forms.append(self._weights(f"{name}-small", less, data.draw(st.sampled_from([0, 20])), 0))
        idle = data.draw(st.sampled_from([None, None, 15.0]))
        return Role(name, tuple(forms), data.draw(st.integers(0, 4)) == 0, False, MINIMUM * (index % 2), idle)

    @rule(role=which, long=st.booleans(), within=st.booleans())
    def ask(self, role: int, long: bool, within: bool) -> None:
        def asks() -> None:
            assert self.pool is not None
            request = self.pool.ask(self.names[role % len(self.names)], FOREVER if long else 30.0)
            self.requests.append(request)
            if request.answer.done():
                self._check_turn(request)
            else:
                request.answer.add_done_callback(lambda _: self._check_turn(request))

        self._do(asks, within)

    @rule(roles=st.lists(which, min_size=2, max_size=6), seconds=st.sampled_from([0.0, 1.0, 25.0]))
    def talk(self, roles: list[int], seconds: float) -> None:
        """One role after the other is asked for, and given back if it was lent."""
        for role in roles:
            self.ask(role, False, False)
            request = self.requests[-1]
            self.clock.settle()
            self.clock.advance(seconds)
            self._end(request)

    @rule(index=which, within=st.booleans())
    def give_back(self, index: int, within: bool) -> None:
        def gives() -> None:
            lent = [each for each in self.requests if each.lent]
            if lent:
                self._end(lent[index % len(lent)])

        self._do(gives, within)

    @rule(index=which)
    def withdraw(self, index: int) -> None:
        if self.requests:
            assert self.pool is not None
            self.pool.withdraw(self.requests.pop(index % len(self.requests)))

    @rule(index=which)
    def move(self, index: int) -> None:
        """One job is done, not always the oldest."""
        if self.clock.jobs:
            self.clock.jobs.pop(index % len(self.clock.jobs))()

    @rule()
    def settle(self) -> None:
        self.clock.settle()

    @rule(seconds=st.sampled_from([0.5, 3.0, 12.0, 40.0]), within=st.booleans())
    def wait(self, seconds: float, within: bool) -> None:
        self._do(lambda: self.clock.advance(seconds), within)

    @rule(role=which, error=st.sampled_from(ERRORS), parks=st.booleans())
    def fail(self, role: int, error: Callable[[], BaseException], parks: bool) -> None:
        weights = self.weights[role % len(self.weights)]
        if parks:
            weights.park_fails.append(OSError("no pinned memory"))
        else:
            weights.fails.append(error())

    @rule(role=which, pinned=st.booleans())
    def pin(self, role: int, pinned: bool) -> None:
        if not self.exclusive:
            assert self.pool is not None
            name = self.names[role % len(self.names)]
            (self.pool.pin if pinned else self.pool.unpin)(name)

    @rule(role=which, likely=st.sampled_from([0.2, 0.9]), within=st.booleans())
    def expect(self, role: int, likely: float, within: bool) -> None:
        assert self.pool is not None
        pool, name = self.pool, self.names[role % len(self.names)]
        self._do(lambda: pool.expect({name: likely, self.names[0]: 0.3}), within)

    @invariant()
    def laws(self) -> None:
        PoolMachine.operations += 1
        assert not self.broken, self.broken
        assert not self.memory.beyond, self.memory.beyond
        if self.pool is None:
            return
        seen = self.pool.snapshot()
        for place in seen.places:
            assert self.memory.held[place.place] <= place.used <= place.budget
            assert self.memory.most[place.place] <= place.most
        for request in self.requests:
            if request.lent:
                here = request.resident.here
                assert here is not None
                assert here.weights.place == "device"  # type: ignore[attr-defined]
                assert request.resident.model is not None
            else:
                assert request.answer.done() or self.clock.time < request.deadline
        waiting = [each for each in self.requests if not each.answer.done()]
        assert len(seen.waiting) == len(waiting)
        if not any(each.where == "moving" for each in seen.roles):
            assert {each.place: each.used for each in seen.places} == self.memory.held

    def teardown(self) -> None:
        """Everyone is served once loans end; then it closes, and nothing is left."""
        if self.pool is None:
            return
        self.within.clear()
        for weights in self.weights:
            weights.fails.clear()
            weights.park_fails.clear()
        for name in self.names:
            self.pool.unpin(name)
        waiting = [each for each in self.requests if not each.answer.done() and each.deadline > 1e8]
        for _ in range(4 * len(self.names)):
            self.clock.settle()
            for request in self.requests:
                self._end(request)
            self.clock.advance(MINIMUM)
        self.clock.settle()
        assert all(each.answer.done() and not each.answer.exception() for each in waiting), "lost"
        for request in self.requests:
            self._end(request)
        over = self.pool.end()
        self.clock.settle()
        assert over.done()
        assert not any(self.memory.held.values()), self.memory.held
        self.laws()

    def _end(self, request: Request) -> None:
        if request.lent:
            assert self.pool is not None
            request.lent = False
            self.requests.remove(request) if request in self.requests else None
            self.pool.give_back(request.resident, request.number)

    def _do(self, operation: Callable[[], object], within: bool) -> None:
        """Now, or in the middle of the load that comes next."""
        if within:
            self.within.append(operation)
        else:
            operation()

    def _meanwhile(self) -> None:
        if self.within:
            self.within.pop(0)()
        assert self.pool is not None
        used = {each.place: each.used for each in self.pool.snapshot().places}
        if any(self.memory.held[place] > used[place] for place in used):
            self.broken.append(f"held {self.memory.held} of {used}")

    def _check_turn(self, request: Request) -> None:
        """Nobody who asked after a role came is lent it past one who waits longer than the patience."""
        if not self.exclusive or not request.lent:
            return
        for other in self.requests:
            passed = not other.answer.done() and other.resident is not request.resident
            overdue = self.clock.time >= other.asked + PATIENCE and other.asked < request.asked
            if passed and overdue and not other.resident.moving and request.asked > request.resident.since:
                self.broken.append(f"{request.role} was lent past {other.role}")
