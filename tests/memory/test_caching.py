"""torch's caching allocator, replayed: laws that hold for any requests, and rules that its source states."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.errors import InputError
from ullage.memory.allocator.caching import CachingAllocator, Full
from ullage.memory.allocator.endless import EndlessAllocator
from ullage.memory.allocator.loading import allocate, load_into
from ullage.memory.allocator.settings import Settings, parse_settings, settings_of
from ullage.units import GIB, KIB, MIB

SIZES = st.one_of(st.integers(1, 4 * KIB), st.integers(1, 3 * MIB), st.integers(1, 80 * MIB))
STEPS = st.lists(st.tuples(SIZES, st.integers(0, 7)), max_size=80)
"""Requests, each after as many frees (of a block chosen by the number) as its second value's parity says."""
SETTINGS = st.sampled_from(
    [
        "",
        "expandable_segments:True",
        "max_split_size_mb:32",
        "roundup_power2_divisions:4",
        "large_segment_size_mb:48,max_non_split_rounding_mb:40,max_split_size_mb:64",
    ]
)


def made(text="", capacity=None, acts=None):
    return CachingAllocator(parse_settings(text) if text else None, capacity, acts)


def played(allocator, steps):
    """What is held after `steps`; the law of the three sums at each."""
    held = []
    for size, choice in steps:
        if held and choice % 2:
            allocator.free(held.pop(choice % len(held)))
        held.append(allocator.allocate(size))
        assert allocator.requested <= allocator.allocated <= allocator.reserved
        assert 0 <= allocator.stuck <= allocator.reserved - allocator.allocated
    return held


@given(STEPS, st.lists(SIZES, max_size=20))
def test_the_endless_one_counts_as_torch_does_and_so_do_its_branches(steps, more):
    whole, endless = made(), EndlessAllocator()
    held, most = [], 0
    for size, choice in steps:
        if held and choice % 2:
            block, address = held.pop(choice % len(held))
            whole.free(block)
            endless.give(address)
        held.append((whole.allocate(size), endless.take(size)))
        most = max(most, whole.allocated)
        assert (endless.allocated, endless.reserved) == (whole.allocated, whole.reserved)
    assert endless.most == most
    branch = endless.branch()
    for size in more:
        whole.allocate(size)
        branch.take(size)
        assert (branch.allocated, branch.reserved) == (whole.allocated, whole.reserved)
    assert endless.most == most


@given(SETTINGS, STEPS)
def test_blocks_never_overlap_and_hold_their_requests(text, steps):
    allocator = made(text)
    held = sorted(
        (block.address, block.address + block.size, block.requested) for block in played(allocator, steps)
    )
    for (_, end, _), (begin, _, _) in pairwise(held):
        assert end <= begin
    assert all(end - begin >= requested for begin, end, requested in held)
    assert sum(requested for *_, requested in held) == allocator.requested
    assert sum(end - begin for begin, end, _ in held) == allocator.allocated


@given(SETTINGS, STEPS)
def test_once_all_is_freed_every_segment_is_one_block_and_can_go(text, steps):
    allocator = made(text)
    for block in played(allocator, steps):
        allocator.free(block)
    assert allocator.allocated == allocator.requested == allocator.stuck == 0
    assert allocator.reserved or not steps
    allocator.release()
    assert allocator.reserved == 0


@given(SETTINGS, STEPS)
def test_the_same_requests_have_the_same_history(text, steps):
    first, second = [], []
    played(made(text, acts=first), steps)
    played(made(text, acts=second), steps)
    assert first == second


@given(SETTINGS, STEPS)
def test_its_history_adds_up_to_what_it_counts(text, steps):
    acts = []
    allocator = made(text, acts=acts)
    played(allocator, steps)
    sums = {
        name: sum(act.bytes for act in acts if act.action == name) for name in {act.action for act in acts}
    }
    came = sums.get("segment_alloc", 0) + sums.get("segment_map", 0)
    gone = sums.get("segment_free", 0) + sums.get("segment_unmap", 0)
    assert came - gone == allocator.reserved
    assert sums.get("alloc", 0) - sums.get("free_completed", 0) == allocator.requested


@given(st.lists(SIZES, max_size=60))
def test_where_nothing_is_freed_expandable_segments_reserve_less_than_a_page_of_each_pool_more(sizes):
    expandable, fixed = made("expandable_segments:True"), made()
    load_into(expandable, sizes)
    load_into(fixed, sizes)
    assert expandable.reserved < expandable.allocated + 22 * MIB
    assert expandable.reserved <= fixed.reserved + 22 * MIB


@given(st.lists(SIZES, max_size=60), st.booleans())
def test_a_load_is_counted_without_replaying_it(sizes, warmed):
    allocator = made()
    load_into(allocator, sizes, sum(sizes) if warmed else 0)
    found = allocate(sizes, sum(sizes) if warmed else 0)
    assert found == (allocator.requested, allocator.allocated, allocator.reserved)


@given(SETTINGS, STEPS, st.integers(20, 400))
def test_a_card_is_never_asked_for_more_than_it_has(text, steps, mebibytes):
    allocator = made(text, mebibytes * MIB)
    try:
        played(allocator, steps)
    except Full as full:
        assert full.reserved + full.segment > full.capacity or "expandable" in text
    assert allocator.reserved <= mebibytes * MIB


def test_the_best_fit_is_the_smallest_and_among_equal_ones_the_lowest():
    allocator = made()
    blocks = [allocator.allocate(size * MIB) for size in (30, 24, 12, 24)]
    for block in blocks:
        allocator.free(block)
    assert allocator.allocate(23 * MIB + 1).address == blocks[1].address
    assert allocator.allocate(12 * MIB).address == blocks[2].address


def test_what_remains_of_a_large_block_is_cut_off_above_a_mebibyte_alone():
    allocator = made()
    allocator.free(allocator.allocate(30 * MIB))
    block = allocator.allocate(29 * MIB)
    assert block.size == 30 * MIB
    allocator.free(block)
    assert allocator.allocate(29 * MIB - 512).size == 29 * MIB - 512
    assert made("expandable_segments:True").allocate(29 * MIB).size == 29 * MIB


def test_a_hole_too_small_for_the_next_request_is_reserved_and_of_no_use():
    allocator = made()
    first, _ = allocator.allocate(20 * MIB), allocator.allocate(20 * MIB)
    allocator.free(first)
    allocator.allocate(12 * MIB)
    allocator.allocate(12 * MIB)
    assert allocator.reserved == 52 * MIB
    assert allocator.stuck == 8 * MIB
    grown = made("expandable_segments:True")
    first, _ = grown.allocate(20 * MIB), grown.allocate(20 * MIB)
    grown.free(first)
    grown.allocate(12 * MIB)
    grown.allocate(12 * MIB)
    assert grown.reserved == 60 * MIB


def test_where_a_card_is_full_segments_nobody_uses_are_given_back_first():
    acts = []
    allocator = made(capacity=100 * MIB, acts=acts)
    unused, used = allocator.allocate(40 * MIB), allocator.allocate(40 * MIB)
    allocator.free(unused)
    allocator.allocate(60 * MIB)
    assert allocator.reserved == 100 * MIB
    assert [act.bytes for act in acts if act.action == "segment_free"] == [40 * MIB]
    allocator.free(used)
    with pytest.raises(Full) as full:
        allocator.allocate(41 * MIB)
    assert acts[-1].action == "oom"
    assert "Tried to allocate 42.00 MiB. GPU 0 has a total capacity of 100.00 MiB" in str(full.value)
    assert "of which 40.00 MiB is free" in str(full.value)


def test_pages_of_expandable_segments_come_back_one_by_one():
    allocator = made("expandable_segments:True", 100 * MIB)
    blocks = [allocator.allocate(20 * MIB) for _ in range(5)]
    for block in blocks[1:4]:
        allocator.free(block)
    small = allocator.allocate(MIB)
    assert allocator.reserved == 42 * MIB
    assert allocator.allocate(40 * MIB).address == blocks[1].address
    assert small.address >= blocks[0].address + GIB


def test_large_blocks_are_kept_whole_for_large_requests():
    allocator = made("max_split_size_mb:32")
    allocator.free(allocator.allocate(64 * MIB))
    allocator.allocate(20 * MIB)
    assert allocator.reserved == 84 * MIB
    allocator.allocate(60 * MIB)
    assert allocator.reserved == 84 * MIB
    limited = made("max_split_size_mb:32", 100 * MIB)
    for size in (40, 36):
        limited.free(limited.allocate(size * MIB))
    limited.allocate(62 * MIB)
    assert limited.reserved == 62 * MIB


def test_old_segments_go_once_so_much_of_what_may_be_used_is_reserved():
    text = "garbage_collection_threshold:0.5,per_process_memory_fraction:0.9"
    kept, acts = [], []
    allocator = made(text, 200 * MIB, acts)
    held = [allocator.allocate(size * MIB) for size in (42, 30, 20)]
    for block in held[:2]:
        allocator.free(block)
    kept.append(allocator.allocate(42 * MIB))
    allocator.free(kept.pop())
    allocator.allocate(60 * MIB)  # of 180 MiB more than half is reserved: the older free segment goes
    assert [act.bytes // MIB for act in acts if act.action == "segment_free"] == [30]
    without = made("garbage_collection_threshold:0.5", 200 * MIB)
    for block in [without.allocate(size * MIB) for size in (42, 30, 20)]:
        without.free(block)
    without.allocate(60 * MIB)
    assert without.reserved == 152 * MIB


def test_requests_are_rounded_in_steps_of_powers_of_two():
    assert made("roundup_power2_divisions:4").rounded(1200 * KIB) == 1280 * KIB
    assert made("roundup_power2_divisions:4").rounded(1500) == 1536
    by_size = made("roundup_power2_divisions:[2:8,16:1,>:2]")
    assert by_size.rounded(33 * MIB) == 48 * MIB
    assert by_size.rounded(17 * MIB) == 17 * MIB
    assert by_size.rounded(2 * MIB + 1) == 2 * MIB + 256 * KIB
    assert made().rounded(513) == 1024


ACCEPTED = (
    "max_split_size_mb:20",
    "expandable_segments:True",
    "expandable_segments:False,max_split_size_mb:64",
    "garbage_collection_threshold:0.8",
    "roundup_power2_divisions:[256:1,512:2,1024:4,>:8]",
    "roundup_power2_divisions:8",
    "roundup_power2_divisions:[64:0,>:4]",
    "large_segment_size_mb:32, max_split_size_mb : 32",
    "max_non_split_rounding_mb:30",
    "max_split_size_mb:64,",
)
REFUSED = (
    "max_split_size_mb:19",
    "expandable_segments:true",
    "garbage_collection_threshold:1.0",
    "garbage_collection_threshold:0",
    "roundup_power2_divisions:3",
    "roundup_power2_divisions:[100:1]",
    "roundup_power2_divisions:[128:3]",
    "large_segment_size_mb:10",
    "large_segment_size_mb:32,max_split_size_mb:20",
    "max_non_split_rounding_mb:8",
    "expandable_segments:",
)


@pytest.fixture
def torchs_own():
    import torch

    yield torch._C._accelerator_setAllocatorSettings
    for text in ("large_segment_size_mb:20", ""):
        torch._C._accelerator_setAllocatorSettings(text)


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_torch_accepts_is_read(text, torchs_own):
    torchs_own("large_segment_size_mb:20")
    torchs_own(text)
    assert parse_settings(text) != Settings() or text == "max_split_size_mb:20"


@pytest.mark.parametrize("text", REFUSED)
def test_what_torch_refuses_is_refused_in_one_line(text, torchs_own):
    torchs_own("large_segment_size_mb:20")
    with pytest.raises((RuntimeError, ValueError)):
        torchs_own(text)
    with pytest.raises(InputError, match="PYTORCH_ALLOC_CONF: ") as error:
        parse_settings(text)
    assert "\n" not in str(error.value)


def test_an_unknown_option_is_said_with_those_that_are_like_it():
    with pytest.raises(InputError, match=r"'expandable_segment' is no option.*expandable_segments"):
        parse_settings("expandable_segment:True")
    with pytest.raises(InputError, match="not of the form option:value"):
        parse_settings("expandable_segments")
    with pytest.raises(InputError, match="cudaMallocAsync"):
        parse_settings("backend:cudaMallocAsync")
    assert parse_settings("pinned_use_background_threads:True,backend:native") == Settings()


def test_the_environment_is_read_as_torch_reads_it():
    assert settings_of({}) == Settings()
    both = {
        "PYTORCH_ALLOC_CONF": "max_split_size_mb:64",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    }
    assert settings_of(both) == Settings(max_split=64 * MIB)
    assert settings_of({"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}).expandable
    with pytest.raises(InputError, match="PYTORCH_CUDA_ALLOC_CONF: "):
        settings_of({"PYTORCH_CUDA_ALLOC_CONF": "max_split:3"})
