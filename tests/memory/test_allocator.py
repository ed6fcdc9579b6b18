from hypothesis import given
from hypothesis import strategies as st

from ullage.memory.allocator.loading import allocate
from ullage.memory.allocator.sizes import fixed_remainder, growing_remainder
from ullage.units import MIB

SIZES = st.lists(st.integers(1, 64 * MIB), max_size=60)


@given(SIZES)
def test_requested_is_at_most_allocated_is_at_most_reserved(sizes):
    result = allocate(sizes)
    assert sum(sizes) == result.requested <= result.allocated <= result.reserved


@given(SIZES)
def test_a_block_never_holds_more_than_a_mebibyte_beyond_its_request(sizes):
    result = allocate(sizes)
    assert result.allocated - result.requested <= len(sizes) * MIB


def test_a_large_block_keeps_a_remainder_of_up_to_one_mebibyte():
    assert allocate([int(129.5 * MIB)]).allocated == 130 * MIB
    assert allocate([int(24.5 * MIB)]).allocated == int(24.5 * MIB)
    assert allocate([int(24.5 * MIB)]).reserved == 26 * MIB


def test_two_tensors_of_eight_mebibytes_share_a_segment_of_twenty():
    assert allocate([8 * MIB, 8 * MIB]).reserved == 20 * MIB
    assert allocate([8 * MIB] * 3).reserved == 40 * MIB


def test_small_tensors_share_segments_of_two_mebibytes():
    result = allocate([1000] * 100)
    assert result.reserved == 2 * MIB
    assert result.allocated == 100 * 1024


@given(st.integers(1, 1 << 34))
def test_remainders_are_ordered_and_bounded(size):
    for remainder in (growing_remainder(size), fixed_remainder(size)):
        assert 0 <= remainder.low <= remainder.expected <= remainder.high <= MIB
