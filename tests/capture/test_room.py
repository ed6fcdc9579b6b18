"""What a pass keeps lies apart from what it takes, and is kept once."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

import ullage
from ullage.capture.hooks import listening
from ullage.capture.proofs import proven_points
from ullage.capture.room import BLOCK, Room
from ullage.runtime.layout import find_layout
from ullage.spec.capture import Capture

SIZES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3 * BLOCK // 8)), min_size=1, max_size=30)


@settings(deadline=None, max_examples=30)
@given(sizes=SIZES, points=st.integers(1, 40))
def test_a_room_keeps_whatever_comes(sizes, points):
    room = Room(points, 4)
    tensors = [torch.arange(rows * width, dtype=torch.float32).view(rows, width) for rows, width in sizes[:8]]
    kept = [room.keep(tensor, len(tensor)) for tensor in tensors]
    room.close()
    assert all(torch.equal(one, other) for one, other in zip(kept, tensors, strict=True))
    places = sorted((one.data_ptr(), one.data_ptr() + one.nbytes) for one in kept)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(places))
    assert not any(one.data_ptr() % 64 for one in kept)


def test_rows_of_as_many_points_as_were_told_of_lie_in_as_few_blocks():
    room = Room(40, 8)
    kept = [room.keep(torch.ones(8, 4096), 8) for _ in range(40)]
    assert len({one.untyped_storage().data_ptr() for one in kept}) == 5


def test_a_row_in_an_autograd_graph_is_left_there():
    row = torch.ones(1, 4, requires_grad=True) * 2
    assert Room(1, 1).keep(row, 1) is row


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(ullage.tiny_path(), attn_implementation="eager").eval()


def test_many_sites_at_the_last_position_are_those_of_all(model):
    ids = [[5, 6, 7, 8, 9], [3, 4, 5]]
    last = ullage.Extractor(model, ["*"], positions="last").read(ids)
    whole = ullage.Extractor(model, ["*"], positions="all").read(ids)
    for one, other in zip(last, whole, strict=True):
        assert len(one.states) > 16
        for site, rows in one.states.items():
            every = other.states[site]
            assert torch.equal(rows, every[:, -1:] if site.endswith("pattern") else every[-1:]), site


def test_transformers_keeps_no_pattern_that_was_listened_to(model):
    captures = [Capture(sites=["blocks.*.attn.hook_pattern"])]
    points = proven_points(captures, find_layout(model), name="tiny")
    seen = []
    for _ in range(2):  # transformers hooks its modules in the first of them
        with (
            listening(points, lambda _point, tensor: seen.append(tensor), stop=False),
            torch.inference_mode(),
        ):
            out = model.model(input_ids=torch.tensor([[5, 6, 7]]), output_attentions=True)
        assert not out.attentions
    assert len(seen) == 2 * len(points)
