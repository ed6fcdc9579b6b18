"""Replayed code: whatever the sizes of a pass, the moments that are kept hold the largest of all."""

from hypothesis import given
from hypothesis import strategies as st

from ullage.memory.forward.tape import Amounts, Size, Tape

COUNT = len(Amounts._fields)
SIZES = st.lists(st.integers(0, 40), min_size=COUNT, max_size=COUNT).map(Size)
STEPS = st.lists(st.tuples(st.sampled_from(("hold", "touch", "drop")), SIZES), min_size=1, max_size=30)


@given(STEPS, st.lists(st.integers(0, 1000), min_size=COUNT, max_size=COUNT))
def test_the_largest_moment_is_kept(steps, amounts):
    tape, held = Tape(), []
    live = peak = 0
    given_amounts = Amounts(*amounts)
    for verb, size in steps:
        if verb == "drop":
            if held:
                size = held.pop()
                tape.drop(size)
                live -= size.of(given_amounts)
            continue
        now = live + size.of(given_amounts)
        peak = max(peak, now)
        if verb == "hold":
            held.append(tape.hold(size))
            live = now
        else:
            tape.touch(size)
    found = [(kept.live.of(given_amounts), kept.name) for kept in tape.largest()]
    most = max([size for size, _ in found], default=0)
    assert most == peak


def test_sizes_are_added_and_multiplied_as_numbers():
    one, two = Size(range(COUNT)), Size(range(1, COUNT + 1))
    amounts = Amounts(*range(2, COUNT + 2))
    assert (one + two).of(amounts) == one.of(amounts) + two.of(amounts)
    assert (two - one).of(amounts) == two.of(amounts) - one.of(amounts)
    assert (one * 3).of(amounts) == 3 * one.of(amounts)
    assert (two * 4 // 2).of(amounts) == 2 * two.of(amounts)
    assert (two * 4).share(0.25) == two
