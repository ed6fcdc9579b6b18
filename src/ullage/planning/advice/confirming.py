"""What is shown of a search, each entry planned once by what knows more; others where that says no."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ullage.errors import InputError
from ullage.planning.advice.step import Step, without
from ullage.planning.advice.trials import Candidate, Trials
from ullage.planning.outcome import IMPOSSIBLE, Evaluate

ROUNDS: Final = 12
"""How often others are looked for."""

Chosen = Callable[[list[Candidate]], list[Candidate]]
Pass = tuple[str, tuple[Step, ...]]
"""A role with the steps that its passes depend on: its own, and those of the workload."""


def confirmed(trials: Trials, chosen: Chosen, confirm: Evaluate) -> tuple[list[Candidate], int]:
    """What is `chosen` of all that was found, as far as it fits by `confirm` and with what that says; and how
    many settings were left because their passes would have to be traced.

    In their place come those with the role's pass as it is, where these do as well as others that were found.
    """
    known: dict[tuple[object, ...], Candidate] = {}
    untraced: set[Pass] = set()

    def told(each: Candidate) -> Candidate:
        key = each.gpus, each.steps
        if key not in known:
            try:
                outcome = confirm(trials.changed(each.steps), each.gpus)
            except InputError:
                outcome = IMPOSSIBLE
            known[key] = each._replace(outcome=outcome)
            untraced.update((role, _bearing(each.steps, role)) for role in outcome.untraced)
        return known[key]

    def is_told(each: Candidate) -> bool:
        said = known.get((each.gpus, each.steps), each)
        roles = trials.workload.roles
        return said.fits and not any((role, _bearing(each.steps, role)) in untraced for role in roles)

    for _ in range(ROUNDS):
        shown = chosen([each for each in trials.found if is_told(each)])
        refused = [each for each in shown if told(each).outcome.untraced or not told(each).fits]
        if not refused:
            break
        for each in refused:
            for role in told(each).outcome.untraced:
                trials.plan(each.gpus, without(each.steps, f"{role} batch"))
                trials.plan(each.gpus, tuple(step for step in each.steps if step.role != role))
    left = sum(bool(each.outcome.untraced) for each in (*trials.found, *known.values()))
    return [found for found in map(told, shown) if found.fits and not found.outcome.untraced], left


def _bearing(steps: tuple[Step, ...], role: str) -> tuple[Step, ...]:
    return tuple(step for step in steps if step.role in (role, ""))
