"""One change to one part of a workload, and the changes that exclude one another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Changes = tuple[tuple[str, str], ...]
"""Paths and values as `--set` takes them."""
Family = Literal["same", "lower", "wait", "less"]
"""What a change asks of the user: nothing; fewer bits, or fewer parameters that are trained; memory beside
the cards in which weights wait; that less is read or kept."""
CHUNK = "chunk"
"""The axis of how much of a prompt is read at a time."""
VLLM = "vllm"
"""How the keys of its steps begin."""
VLLM_ON_ONE = "vllm on one"
VLLM_ON_FEWER = "vllm on fewer"
VLLM_ON_ALL = "vllm on all"
LOSS_OF_LESS = 0.25
"""Assumed loss of halving what is read or kept: what is cut is gone."""


class Step(NamedTuple):
    """One change: `key` names it among those of its `axis`, on whatever cards. `loss` is of quality, assumed
    unless it was `measured`; only the order of losses is relied on. One that is `slower` saves but memory.
    `role` is whose it is, "" of the workload's own. What is of the engine `only` means something beside that
    alone; without a step the role's engine is `now`. Beside another engine `instead` takes its place, where
    there is such a step."""

    axis: str
    key: str
    changes: Changes
    loss: float
    note: str
    measured: bool = False
    slower: bool = False
    role: str = ""
    only: str = ""
    now: str = ""
    instead: Step | None = None

    @property
    def piece(self) -> int:
        """Tokens that are read at a time, where it says how many; 0 elsewhere."""
        return int(self.key) if self.axis == CHUNK else 0

    @property
    def by_vllm(self) -> bool:
        """Whether it gives a role to vLLM."""
        return self.key.startswith(VLLM)

    def is_apt(self, steps: Iterable[Step]) -> bool:
        """Whether it means something beside these."""
        return not self.only or _engine_of(self.role, steps, self.now) == self.only


class Axis(NamedTuple):
    """Steps of which one at most is taken. Those of a ladder are batch sizes, ascending; `unchanged` is its
    size without a step. `lean` is the place of the step that takes least memory, None where that is none of
    them. `role` is whose it is, "" of the workload's own. The lean step of one that `ends` there means
    nothing beside a step of vLLM of an axis whose name ends so: vLLM gives nothing back.
    """

    name: str
    family: Family
    steps: tuple[Step, ...]
    lean: int | None = None
    role: str = ""
    ladder: bool = False
    unchanged: int = 0
    ends: str = ""

    def is_apt(self, steps: tuple[Step, ...]) -> bool:
        """Whether its steps mean something beside these."""
        return any(step.is_apt(steps) for step in self.steps)

    def leanest_beside(self, steps: tuple[Step, ...]) -> Step | None:
        """The step that takes least memory, where one takes less than none, and means something there."""
        ended = self.ends and any(axis.endswith(self.ends) for axis in _by_vllm(steps))
        least = None if ended else self.leanest
        return None if least is None else _counterpart(least, steps)

    @property
    def kind(self) -> str:
        """What it changes, whosever it is."""
        return self.name.removeprefix(f"{self.role} ")

    @property
    def leanest(self) -> Step | None:
        """The step that takes least memory, where one takes less than none."""
        return None if self.lean is None or not self.steps else self.steps[self.lean]


def _by_vllm(steps: tuple[Step, ...]) -> list[str]:
    """Axes of which these have a step of vLLM."""
    return [step.axis for step in steps if step.by_vllm]


def _engine_of(role: str, steps: Iterable[Step], now: str) -> str:
    """By which engine a role is run, with these steps."""
    key = next((step.key for step in steps if step.axis == f"{role} engine"), now)
    return VLLM if key.startswith(VLLM) else key


def changes_of(steps: Iterable[Step]) -> Changes:
    """What is set, in order; each path once."""
    return tuple(dict(change for step in steps for change in step.changes).items())


def loss_of(steps: Iterable[Step]) -> float:
    """Of all together, to nine digits: sums in another order are the same."""
    return round(sum((step.loss for step in steps), 0.0), 9)


def without(steps: Iterable[Step], axis: str) -> tuple[Step, ...]:
    """All but that of an axis, and but what means nothing without it."""
    return apt(tuple(step for step in steps if step.axis != axis))


def with_step(steps: Iterable[Step], step: Step) -> tuple[Step, ...]:
    """`step` in place of another of its axis; axes in the order of their names, so that equal settings are
    equal. What means nothing beside it goes; where it means nothing itself, nothing changes."""
    steps = tuple(steps)
    taken = _counterpart(step, steps)
    if taken is None:
        return steps
    left = (each for each in steps if each.axis != step.axis)
    return apt(tuple(sorted((*left, taken), key=lambda each: each.axis)))


def with_steps(steps: tuple[Step, ...], more: Iterable[Step]) -> tuple[Step, ...]:
    """With each of these, one after the other."""
    for step in more:
        steps = with_step(steps, step)
    return steps


def apt(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Those that mean something beside the others, and what takes the place of those that do not."""
    return tuple(own for step in steps if (own := _counterpart(step, steps)) is not None)


def _counterpart(step: Step, steps: tuple[Step, ...]) -> Step | None:
    """The step, or what takes its place beside these; None where nothing does."""
    if not step.only or step.is_apt(steps):
        return step
    return step.instead if step.instead is not None and step.instead.is_apt(steps) else None
