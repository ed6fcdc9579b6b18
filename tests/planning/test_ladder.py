"""Batches of several roles as one ladder."""

from hypothesis import given
from hypothesis import strategies as st

from ullage.planning.advice.ladder import sized, smallest
from ullage.planning.advice.step import Axis, Step, changes_of, with_step

SIZES = [1, 2, 4, 8, 16, 32]


def ladder(role, unchanged, most):
    axis = f"{role} batch"
    steps = tuple(
        Step(axis, str(size), ((f"roles.{role}.batch", str(size)),), 0.0, "", role=role)
        for size in SIZES
        if size <= most and size != unchanged
    )
    return Axis(axis, "same", steps, 0, role, ladder=True, unchanged=unchanged)


def batches(steps, ladders):
    changed = {path: int(size) for path, size in changes_of(steps)}
    return [changed.get(f"roles.{each.role}.batch", each.unchanged) for each in ladders]


def sizes(each):
    return [each.unchanged, *(int(step.key) for step in each.steps)]


@st.composite
def settings(draw):
    ladders = [
        ladder(role, draw(st.sampled_from(SIZES[:4])), draw(st.sampled_from(SIZES[3:])))
        for role in ("a", "b")
    ]
    steps = ()
    for each in ladders:
        step = draw(st.sampled_from((None, *each.steps)))
        steps = steps if step is None else with_step(steps, step)
    return ladders, steps


@given(settings())
def test_a_size_for_all_roles_lowers_none_and_passes_none(found):
    ladders, steps = found
    now = batches(steps, ladders)
    for size in SIZES:
        then = batches(sized(steps, ladders, size), ladders)
        assert all(before <= after <= max(before, size) for before, after in zip(now, then, strict=True))
    assert batches(sized(steps, ladders, SIZES[-1]), ladders) == [max(sizes(each)) for each in ladders]


@given(settings())
def test_the_smallest_batches_are_the_smallest_of_each(found):
    ladders, steps = found
    assert batches(smallest(steps, ladders), ladders) == [min(sizes(each)) for each in ladders]
