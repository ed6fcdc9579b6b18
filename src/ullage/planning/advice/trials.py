"""Settings that were tried: each is planned once, whatever asks for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from ullage.errors import InputError
from ullage.facts.gpu import GpuSet
from ullage.facts.price import Prices
from ullage.planning.advice.able import is_able
from ullage.planning.advice.best import Best
from ullage.planning.advice.host import Host
from ullage.planning.advice.step import LOSS_OF_LESS, Axis, Changes, Step, changes_of, loss_of
from ullage.planning.outcome import IMPOSSIBLE, Evaluate, Outcome
from ullage.spec.rules import mistakes_in
from ullage.spec.workload import Workload

TRACED: Final = 1500
"""Trials that take as long as one trace of a model's own code."""
REFUSED: Final = 0.2
"""What a setting that is refused takes of the limit: it is not billed."""


class Candidate(NamedTuple):
    """A setting and what it comes to."""

    gpus: GpuSet
    steps: tuple[Step, ...]
    outcome: Outcome
    usd_per_hour: float | None
    loss: float
    """Of quality."""

    @property
    def fits(self) -> bool:
        """Whether it fits with its reserve."""
        return self.outcome.verdict == "fits"

    @property
    def possible(self) -> bool:
        """Whether anything takes it, if it had the memory."""
        return self.outcome.over < IMPOSSIBLE.over

    @property
    def by_vllm(self) -> bool:
        """Whether a step of it gives a role to vLLM."""
        return any(step.by_vllm for step in self.steps)

    @property
    def cuts(self) -> bool:
        """Whether less is read or kept than was asked for: a last resort."""
        return any(step.loss >= LOSS_OF_LESS for step in self.steps)

    @property
    def seconds(self) -> float:
        """Of 1000 examples, in the phases whose time is known."""
        return self.outcome.known_seconds

    def seconds_of(self, role: str) -> float:
        """The same of those in which a role works; infinite where a phase of its is not known."""
        if role in self.outcome.unknown:
            return math.inf
        return self.seconds * dict(self.outcome.shares).get(role, 0.0)

    @property
    def open(self) -> bool:
        """Whether a phase's time is not known: what is known of it says nothing against a whole."""
        return bool(self.outcome.unknown)

    def is_faster(self, other: Candidate, by: float = 0.0) -> bool:
        """Whether it takes less, by a share of what the other takes; or is known as a whole, and the other is
        not."""
        if self.open != other.open:
            return other.open
        return self.seconds < other.seconds * (1 - by)

    @property
    def usd(self) -> float | None:
        """Of 1000 examples, for those seconds; None without a price."""
        return None if self.usd_per_hour is None else self.usd_per_hour * self.seconds / 3600


class SearchLimit(NamedTuple):
    """How many settings are planned at most, so that the same question has the same answer; and the seconds
    after which it ends in any case."""

    trials: float
    seconds: float

    @property
    def traces(self) -> float:
        """How many passes may be traced in that time, beside those of the workload as it is."""
        return self.trials // TRACED


class Trials:
    """Plans candidates of a workload until the limit is reached.

    Checkpoints of roles in `stored` are quantized.
    Invariant: `found` holds every candidate that was planned, each once, in that order; `best` is of these.
    """

    def __init__(
        self,
        workload: Workload,
        evaluate: Evaluate,
        apply: Callable[[Workload, Changes], Workload],
        prices: Prices,
        host: Host,
        limit: SearchLimit,
        stored: frozenset[str] = frozenset(),
    ) -> None:
        self.workload, self._evaluate, self._apply = workload, evaluate, apply
        self.prices, self.host, self._limit = prices, host, limit
        self._stored, self._is_able = stored, is_able(workload, stored)
        self._until = time.monotonic() + limit.seconds
        self._spent, self._allowed = 0.0, limit.trials
        self.found: list[Candidate] = []
        self.best = Best()
        self._seen: dict[tuple[GpuSet, tuple[Step, ...]], Candidate] = {}
        self._changed: dict[tuple[Step, ...], Workload] = {(): workload}
        self._alone: dict[tuple[Step, ...], Workload] = {(): workload}
        self._valid: dict[Changes, bool] = {}
        self._refused: set[Step] = set()

    @property
    def over(self) -> bool:
        """Whether the limit is reached."""
        return self._spent >= self._allowed or time.monotonic() > self._until

    @contextmanager
    def within(self, share: float) -> Iterator[None]:
        """At most that share of what is left of the limit is taken inside."""
        outer = self._allowed
        self._allowed = self._spent + share * max(outer - self._spent, 0.0)
        yield
        self._allowed = outer

    def plan(self, gpus: GpuSet, steps: tuple[Step, ...] = ()) -> Candidate:
        """The candidate of these steps, which are in the order of their axes."""
        key = gpus, steps
        if key not in self._seen:
            price = self.prices.of(gpus)
            hourly = None if price is None else price.usd_per_hour
            made = Candidate(gpus, steps, self._outcome(gpus, steps), hourly, loss_of(steps))
            self._spent += 1 if made.possible else REFUSED
            self._seen[key] = made
            self.found.append(made)
            self.best.add(made)
            if not made.possible and len(steps) == 1:
                self._refused.update(steps)
        return self._seen[key]

    def changed(self, steps: tuple[Step, ...]) -> Workload:
        """The workload with these steps, of which many have those of a role alike. Raises InputError."""
        if steps not in self._changed:
            by_role: dict[str, list[Step]] = {}
            for step in steps:
                by_role.setdefault(step.role, []).append(step)
            found = self._applied(tuple(by_role.pop("", ())))
            roles = {name: self._applied(tuple(own)).roles[name] for name, own in by_role.items()}
            self._changed[steps] = found.model_copy(update={"roles": found.roles | roles})
        return self._changed[steps]

    def _applied(self, steps: tuple[Step, ...]) -> Workload:
        """With steps of one role, or of the workload's own."""
        if steps not in self._alone:
            self._alone[steps] = self._apply(self.workload, changes_of(steps))
        return self._alone[steps]

    @property
    def elastic(self) -> bool:
        """Whether a role takes more of a larger card: an engine with a cache of its own, or what may wait
        beside."""
        return any(
            role.max_memory is not None or role.device_map is not None or role.runs_with.memory == "own cache"
            for role in self.workload.roles.values()
        )

    def allows(self, steps: tuple[Step, ...]) -> bool:
        """Whether a file may say so, and none of them was refused by itself: nothing is planned for that."""
        return self._refused.isdisjoint(steps) and self.may_be_said(steps)

    def may_be_said(self, steps: tuple[Step, ...]) -> bool:
        """Whether a file may say so, whatever a card refuses."""
        try:
            return self._is_valid(self.changed(steps), steps)
        except InputError:
            return False

    def untried(self, gpus: GpuSet, axes: tuple[Axis, ...]) -> int:
        """How many settings with one step at most were never planned on `gpus`."""
        alone = [(gpus, ()), *((gpus, (step,)) for axis in axes for step in axis.steps)]
        return sum(key not in self._seen for key in alone)

    def _outcome(self, gpus: GpuSet, steps: tuple[Step, ...]) -> Outcome:
        try:
            changed = self.changed(steps)
            if not self._is_valid(changed, steps):
                return IMPOSSIBLE
            outcome = self._evaluate(changed, gpus)
        except InputError:
            return IMPOSSIBLE
        beyond = max(outcome.host.high - self.host.room(gpus), 0)
        if not beyond:
            return outcome
        return outcome._replace(verdict="does not fit", over=outcome.over + beyond)

    def _is_valid(self, changed: Workload, steps: tuple[Step, ...]) -> bool:
        """Whether a file may say so. A batch of another size does not bear on that."""
        key = changes_of(step for step in steps if not step.key.isdecimal())
        if not key:
            return self._is_able
        if key not in self._valid:
            able = is_able(changed, self._stored)
            self._valid[key] = able and next(mistakes_in(changed), None) is None
        return self._valid[key]
