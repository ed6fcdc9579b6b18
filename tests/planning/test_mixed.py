"""Of settings that change all roles at once, each role's fastest is kept: as many as fit together."""

from ullage.facts.gpu_set import parse_gpu_set
from ullage.planning.advice.descent import mixed
from ullage.planning.advice.step import Step, loss_of
from ullage.planning.advice.trials import Candidate
from ullage.planning.outcome import IMPOSSIBLE

GPUS = parse_gpu_set("A100-80GB")
SECONDS = {
    ("a", ""): 60.0,
    ("b", ""): 40.0,
    ("a", "x"): 20.0,
    ("b", "x"): 80.0,
    ("a", "y"): 90.0,
    ("b", "y"): 25.0,
}
"""By role and the key of its step: `x` is faster for one, `y` for the other."""


def step(role, key):
    return Step(f"{role} way", key, ((f"roles.{role}.way", key),), 0.0, "", role=role)


class Made:
    """Plans settings of two roles whose times add up, of which so many steps fit."""

    def __init__(self, most):
        self.most, self.over, self.planned = most, False, []

    def plan(self, gpus, steps):
        key = {each.role: each.key for each in steps}
        own = {role: SECONDS[role, key.get(role, "")] for role in ("a", "b")}
        whole = sum(own.values())
        shares = tuple((role, seconds / whole) for role, seconds in own.items())
        verdict = "fits" if len(steps) <= self.most else "does not fit"
        self.planned.append(steps)
        outcome = IMPOSSIBLE._replace(verdict=verdict, over=0, known_seconds=whole, shares=shares)
        return Candidate(gpus, steps, outcome, 1.0, loss_of(steps))


def test_each_role_has_what_it_was_fastest_with():
    trials = Made(most=2)
    base = trials.plan(GPUS, ())
    tried = [trials.plan(GPUS, (step("a", key), step("b", key))) for key in "xy"]
    assert [each.fits and each.seconds < base.seconds for each in tried] == [False, False]
    found = mixed(trials, base, tried)
    assert found.steps == (step("a", "x"), step("b", "y"))
    assert found.seconds == 45.0


def test_where_not_all_fit_that_which_saves_most_is_taken():
    trials = Made(most=1)
    base = trials.plan(GPUS, ())
    tried = [trials.plan(GPUS, (step("a", key), step("b", key))) for key in "xy"]
    found = mixed(trials, base, tried)
    assert found.fits
    assert found.steps == (step("a", "x"),)


def test_what_saves_nothing_is_not_planned_again():
    trials = Made(most=2)
    fast = trials.plan(GPUS, (step("a", "x"), step("b", "y")))
    tried = [trials.plan(GPUS, (step("a", key), step("b", key))) for key in "xy"]
    planned = len(trials.planned)
    assert mixed(trials, fast, tried) is fast
    assert len(trials.planned) == planned
