"""Batches hold what the limits allow, and out-of-memory loses nothing."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.errors import OutOfMemoryError
from ullage.runtime.batching import (
    WINDOW_BATCHES,
    Done,
    Limits,
    Splitter,
    is_out_of_memory,
    make_batches,
    windows,
)

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=300)
LIMITS = st.builds(Limits, st.integers(1, 4000), st.integers(1, 40), st.none() | st.integers(1, 2000))


@given(LENGTHS, LIMITS)
def test_every_record_is_in_one_batch_that_holds_it(lengths, limits):
    batches = make_batches(lengths, limits)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert limits.hold(len(batch), max(lengths[index] for index in batch))


@given(LENGTHS, LIMITS)
def test_the_same_lengths_give_the_same_batches(lengths, limits):
    assert make_batches(lengths, limits) == make_batches(list(lengths), limits)


@given(LENGTHS, st.integers(1, 500))
def test_a_batch_that_is_ample_takes_no_text_much_shorter_than_its_longest(lengths, ample):
    for batch in make_batches(lengths, Limits(4000, 400, ample)):
        longest = lengths[batch[0]]
        for count, place in enumerate(batch):
            assert count * longest < ample or lengths[place] >= 0.75 * longest


def test_sorting_by_length_halves_the_padding_of_a_mixed_corpus():
    chance = random.Random(0)
    lengths = [round(16 * 64 ** chance.random()) for _ in range(500)]
    arrival = [tuple(range(k, min(k + 8, len(lengths)))) for k in range(0, len(lengths), 8)]
    batches = make_batches(lengths, Limits(8192, 32))

    def padding(batches):
        return sum(len(b) * max(lengths[i] for i in b) for b in batches) - sum(lengths)

    assert padding(batches) < padding(arrival) / 2


@given(LENGTHS, LIMITS, st.integers(1, 3000), st.randoms())
def test_nothing_is_lost_or_done_twice_when_memory_runs_out(lengths, limits, room, chance):
    """A machine that holds `room` padded tokens at some moments, and half as many at others."""
    import torch

    told = []
    splitter = Splitter(limits, lambda: None, told.append)
    done = []

    def work(items):
        padded = len(items) * max(lengths[i] for i in items)
        if len(items) > 1 and padded > room // chance.choice([1, 2]):
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.extend(items)
        return [lengths[i] for i in items]

    for batch in make_batches(lengths, limits):
        assert splitter.run(batch, lengths, work) == [lengths[i] for i in batch]
    assert sorted(done) == list(range(len(lengths)))
    assert splitter.limits.tokens <= limits.tokens
    assert len(told) == splitter.splits


def test_a_sequence_that_fits_nowhere_says_what_to_do():
    import torch

    def work(items):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(OutOfMemoryError, match="streaming_chunk_size"):
        Splitter(Limits(100, 4), lambda: None, lambda _: None).run([0, 1], [50, 50], work)


def test_other_errors_are_not_out_of_memory():
    def work(items):
        raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        Splitter(Limits(100, 4), lambda: None, lambda _: None).run([0, 1], [50, 50], work)


def test_the_processors_allocator_is_recognised():
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


@given(LENGTHS, LIMITS, st.data())
def test_a_run_taken_up_anywhere_does_the_batches_that_are_left(lengths, limits, data):
    def batches(done):
        coming = windows(enumerate(lengths), limits, done)
        return {unit: [w.items[p] for p in batch] for w in coming for unit, batch in w.left.items()}

    whole = batches(Done())
    before = dict(list(whole.items())[: data.draw(st.integers(0, len(whole)))])
    done = Done()
    done.add(before, (item for batch in before.values() for item in batch))
    assert before | batches(done) == whole


@given(LENGTHS, LIMITS, st.data())
def test_whatever_was_done_under_other_batches_is_not_done_again(lengths, limits, data):
    items = data.draw(st.sets(st.integers(0, len(lengths) - 1)))
    units = data.draw(st.sets(st.integers(0, 40), max_size=len(items)))
    done = Done()
    done.add(units, items)
    seen = []
    for window in windows(enumerate(lengths), limits, done):
        assert len(window.items) <= WINDOW_BATCHES * limits.sequences
        assert not units & set(window.left)
        seen += [window.items[place] for batch in window.left.values() for place in batch]
    assert sorted(seen) == sorted(set(range(len(lengths))) - items)
